"""Versions whose loads fail: left alone longer and longer, then behind an open breaker, then forgotten.

```
           fails                fails, for the breaker_failures-th time            its time is up
 (unknown) ─────▶ backing off ──────────────────────────────────────────▶ open ◀───────────────▶ half open
     ▲                 │                                                         the probe fails      │
     └─────────────────┴──── a load succeeds, or failure_memory_s without a failure ──────────────────┘
```

Half open means that the next request is a probe: it loads the version once, in room that is free as things are.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cachetools import TTLCache

from model_store.errors import ModelUnavailable
from model_store.residency.settings import ResidencySettings

STATES: Final = ("backing_off", "open", "half_open")


@dataclass(frozen=True)
class _Record:
    """The failures of one version so far; it is left alone for `pause_s` from the last one on."""

    failures: int
    pause_s: float
    until_s: float
    reason: str


@dataclass(frozen=True)
class Failing:
    """What is known of a version that failed of late; it is left alone for `retry_in_s` yet."""

    version: str
    state: str
    failures: int
    retry_in_s: float
    reason: str


class Breakers:
    """The failure records of all versions; cachetools forgets them in time."""

    def __init__(self, settings: ResidencySettings) -> None:
        self._settings = settings
        self._now_s = 0.0
        self._records: TTLCache[str, _Record] = TTLCache(math.inf, settings.failure_memory_s, timer=lambda: self._now_s)

    def failed(self, version: str, reason: str, now_s: float) -> None:
        """A load of it failed."""
        known = self._at(now_s).get(version)
        failures = known.failures + 1 if known else 1
        pause_s = min(self._settings.failure_backoff_s * 2 ** (failures - 1), self._settings.failure_backoff_max_s)
        self._records[version] = _Record(failures, pause_s, now_s + pause_s, reason)

    def succeeded(self, version: str) -> None:
        """It loads again."""
        self._records.pop(version, None)

    def refusal(self, version: str, now_s: float) -> ModelUnavailable | None:
        """Why it cannot be asked for now, None when it can."""
        record = self._at(now_s).get(version)
        if record is None or now_s >= record.until_s:
            return None
        often = "a moment ago" if record.failures == 1 else f"{record.failures} times in a row"
        hint = f"This version failed to load {often} ({record.reason}) and is left alone for a while."
        return ModelUnavailable(hint, retry_after_s=record.until_s - now_s, failures=record.failures)

    def may_evict(self, version: str, now_s: float) -> bool:
        """Whether others may have to go for it.

        Not while its breaker is open or half open; and after a first failure only when free room was not to be had for
        as long again as it was left alone.
        """
        if not self._records.currsize:  # nearly always
            return True
        record = self._at(now_s).get(version)
        return record is None or (not self._is_open(record) and now_s >= record.until_s + record.pause_s)

    def next_change_s(self, version: str, now_s: float) -> float:
        """When `may_evict` may say something else."""
        record = self._at(now_s).get(version)
        if record is None:
            return math.inf
        if self._is_open(record):
            return record.until_s - record.pause_s + self._settings.failure_memory_s
        return record.until_s + record.pause_s

    def states(self, now_s: float) -> Counter[str]:
        """How many versions are in each of `STATES`."""
        return Counter(failing.state for failing in self.failing(now_s))

    def failing(self, now_s: float) -> Iterator[Failing]:
        """Every version that failed of late."""
        for version, record in list(self._at(now_s).items()):
            left_s = max(0.0, record.until_s - now_s)
            yield Failing(version, self._state(record, now_s), record.failures, left_s, record.reason)

    def _state(self, record: _Record, now_s: float) -> str:
        if not self._is_open(record):
            return "backing_off"
        return "open" if now_s < record.until_s else "half_open"

    def _is_open(self, record: _Record) -> bool:
        return record.failures >= self._settings.breaker_failures

    def _at(self, now_s: float) -> TTLCache[str, _Record]:
        self._now_s = now_s
        self._records.expire()
        return self._records

"""How fast somebody is served, measured: what a Retry-After is made of. Pure."""

import math
from typing import Final

_MEMORY_S: Final = 30.0
_LEAST_S: Final = 0.25


class Rate:
    """What one tenant had of a version, over about the last half minute; time without a backlog counts apart."""

    def __init__(self, now_s: float) -> None:
        self._jobs = 0
        self._served_s = 0.0
        self._passed_s = 0.0
        self._seen_s = now_s
        self._all_s = 0.0
        self._all_at_s = self._born_s = now_s

    def come(self, now_s: float) -> None:
        """One more job."""
        if not self._jobs:
            self._seen_s = now_s
        self._jobs += 1

    def go(self) -> None:
        """One job less, unserved."""
        self._jobs -= 1

    def served(self, audio_s: float, now_s: float) -> None:
        """One job less, of so much audio."""
        self._jobs -= 1
        fading = _fading(now_s - self._seen_s)
        self._served_s = self._served_s * fading + audio_s
        self._passed_s = self._passed_s * fading + now_s - self._seen_s
        self._seen_s = now_s
        self._all_s = self._all_s * _fading(now_s - self._all_at_s) + audio_s
        self._all_at_s = now_s

    def loaded(self, now_s: float) -> None:
        """Until now nothing could be served, and that says nothing of the time to come."""
        self._seen_s = now_s

    @property
    def is_idle(self) -> bool:
        """Whether nothing of it waits or is computed."""
        return not self._jobs

    @property
    def per_s(self) -> float | None:
        """Audio seconds that are served per second while some wait; None where too little has been measured."""
        return self._served_s / self._passed_s if self._served_s and self._passed_s >= _LEAST_S else None

    def mean_per_s(self, now_s: float) -> float:
        """Audio seconds served per second, whether some waited or not."""
        window_s = max(_LEAST_S, _MEMORY_S * (1 - _fading(now_s - self._born_s)))
        return self._all_s * _fading(now_s - self._all_at_s) / window_s


def _fading(passed_s: float) -> float:
    return math.exp(-passed_s / _MEMORY_S)

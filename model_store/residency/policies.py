"""What a resident is worth: the order in which residents go when a newcomer needs their room.

`Recency` is plain LRU. `CostAware` asks how many seconds of loading a byte is expected to save: how often the version
is used, times what loading it took, over the bytes that it takes. Frequency pays where popularity outlasts a stay in
memory, and costs dearly where it does not (a hundred recordings in one language, then never again). So both orders play
every use through a shadow, a cache that holds names alone, and the order whose shadow loaded less of late decides.

GreedyDual-Size-Frequency (Cherkasova 1998), which weighs the same three things, forgets how often a version was used
when it evicts it; tests/bench/residency draws what that costs.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from model_store.residency.devices import Device
from model_store.residency.ledger import Resident
from model_store.residency.settings import ResidencySettings

# Counted in uses of anything, so that neither a quiet night nor a rush changes what is remembered.
_HALF_LIFE_USES: Final = 150
_DUEL_HALF_LIFE_USES: Final = 600


class Policy(Protocol):
    """An order of residents."""

    def used(self, resident: Resident) -> None:
        """A lease on it was granted."""

    def worth(self, resident: Resident) -> float:
        """Whoever is worth least goes first; compared with others at the same moment only."""


class Recency:
    """The least recently used goes first."""

    def used(self, resident: Resident) -> None:
        """The resident itself remembers."""

    def worth(self, resident: Resident) -> float:
        """The number of its last use."""
        return resident.last_use


@dataclass
class _Known:
    """What is remembered of a version, loaded or not: uses, each weighing half as much after a half-life."""

    uses: float = 0.0
    last_use: int = 0
    worth_of_a_use: float = 0.0

    def rate_at(self, use: int) -> float:
        """Its uses as they weigh now."""
        return self.uses * math.exp2((self.last_use - use) / _HALF_LIFE_USES)


@dataclass
class _Shadow:
    """A cache of names that evicts in one order; `loading_s` is what its loads would have cost of late."""

    capacity_bytes: int
    worth: Callable[[str], float]
    loading_s: float = 0.0

    def __post_init__(self) -> None:
        self._bytes: dict[str, int] = {}

    def use(self, version: str, size_bytes: int, load_s: float) -> None:
        self.loading_s *= math.exp2(-1 / _DUEL_HALF_LIFE_USES)
        if version in self._bytes:
            return
        self.loading_s += load_s
        free = self.capacity_bytes - size_bytes - sum(self._bytes.values())
        while free < 0 and self._bytes:
            free += self._bytes.pop(min(self._bytes, key=self.worth))
        self._bytes[version] = size_bytes


class CostAware:
    """The fewest seconds saved per byte go first, or the least recently used while that order does better."""

    def __init__(self, capacity_bytes: int) -> None:
        self._known: dict[str, _Known] = {}
        self._uses = 0
        self._by_recency = _Shadow(capacity_bytes, lambda version: self._known[version].last_use)
        self._by_savings = _Shadow(capacity_bytes, self._savings)

    def used(self, resident: Resident) -> None:
        """Count it, and let both orders play it through."""
        self._uses += 1
        known = self._known.setdefault(resident.version, _Known())
        known.uses = known.rate_at(self._uses) + 1
        known.last_use = self._uses
        known.worth_of_a_use = resident.load_s / max(1, resident.charged_bytes)
        for shadow in (self._by_recency, self._by_savings):
            shadow.use(resident.version, resident.charged_bytes, resident.load_s)

    def worth(self, resident: Resident) -> float:
        """By the order that does better."""
        if self._by_recency.loading_s < self._by_savings.loading_s:
            return resident.last_use
        return self._savings(resident.version)

    def _savings(self, version: str) -> float:
        known = self._known.get(version)
        return known.rate_at(self._uses) * known.worth_of_a_use if known else 0.0


def chosen(settings: ResidencySettings, devices: Sequence[Device]) -> Policy:
    """The policy that the settings name; shadows are as large as the devices of the kind that models go to first."""
    if settings.policy == "lru":
        return Recency()
    return CostAware(sum(device.budget_bytes for device in devices if device.kind == devices[0].kind))

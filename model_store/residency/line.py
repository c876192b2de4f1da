"""Who waits for which version: one party per version, in the order in which room is made for them."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from model_store.residency.events import ModelRules, Wanted
from model_store.residency.eviction import Claim
from model_store.residency.ledger import Ledger

# A second try after memory ran out asks for half as much again: predictions are known to err by up to a third.
_GROWTH_AFTER_EXHAUSTION: Final = 1.5


class Waiter(NamedTuple):
    """Since when somebody waits, and whose request it is."""

    since_s: float
    tenant: str | None


@dataclass(eq=False)
class Party:
    """All who wait for one version, the first first.

    `number` is its place in the line. `tried` tells, in words, of a load that failed and deserves a second one, for
    which `growth` makes more room.
    """

    number: int
    first: Wanted
    since_s: float
    waiters: dict[int, Waiter] = field(default_factory=dict)
    is_cold: bool = False
    growth: float = 1.0
    tried: list[str] = field(default_factory=list)

    @property
    def version(self) -> str:
        """What they wait for."""
        return self.first.version

    @property
    def claim(self) -> Claim:
        """Their need of room."""
        return Claim(self.first.demand.tenant, self.first.rules.priority, self.since_s)

    @property
    def first_since_s(self) -> float:
        """Since when the one waits who has waited longest."""
        return next(iter(self.waiters.values())).since_s

    def needs_bytes(self, ledger: Ledger) -> int:
        """What a load there is charged; a larger second try takes what there is, at most."""
        peak_bytes = self.first.sizes[ledger.device.kind].peak_bytes
        if self.growth == 1.0:
            return peak_bytes
        return max(peak_bytes, min(int(peak_bytes * self.growth), ledger.capacity_bytes))

    def try_again(self, told: str, *, is_larger: bool) -> None:
        """A load failed and deserves a second one, for which more room is made if `is_larger`."""
        self.tried.append(told)
        if is_larger:
            self.growth = _GROWTH_AFTER_EXHAUSTION

    def overdue(self, max_wait_s: float, now_s: float) -> list[int]:
        """Waiters that have waited for room for as long as anybody may."""
        if self.first_since_s + max_wait_s > now_s:
            return []
        return [number for number, waiter in self.waiters.items() if now_s >= waiter.since_s + max_wait_s]


class Line:
    """The parties: higher classes first, in each the first come first."""

    def __init__(self) -> None:
        self._parties: dict[str, Party] = {}
        self._version_of: dict[int, str] = {}
        self._ordered: list[Party] | None = []  # None when it has to be ordered anew
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._version_of)

    def __iter__(self) -> Iterator[Party]:
        """In order, as it is now: parties may come and go on the way."""
        if self._ordered is None:
            self._ordered = sorted(self._parties.values(), key=_place)
        return iter(self._ordered)

    def party(self, version: str) -> Party | None:
        """Who waits for that version."""
        return self._parties.get(version)

    def join(self, wanted: Wanted, now_s: float) -> Party:
        """One more waiter."""
        party = self._parties.get(wanted.version)
        if party is None:
            party = self._parties[wanted.version] = Party(next(self._numbers), wanted, now_s)
            self._ordered = None
        party.waiters[wanted.waiter] = Waiter(now_s, wanted.demand.tenant)
        self._version_of[wanted.waiter] = wanted.version
        return party

    def rule(self, version: str, rules: ModelRules) -> None:
        """Other rules are in force for a version."""
        if party := self._parties.get(version):
            party.first = replace(party.first, rules=rules)
            self._ordered = None

    def leave(self, waiter: int) -> Party | None:
        """One waiter less; the party that it was in, which may be empty now and is then dismissed."""
        version = self._version_of.pop(waiter, None)
        if version is None:
            return None
        party = self._parties[version]
        del party.waiters[waiter]
        if not party.waiters:
            del self._parties[version]
            self._ordered = None
        return party

    def dismiss(self, version: str) -> Party | None:
        """Take a whole party out of the line."""
        party = self._parties.pop(version, None)
        self._ordered = None
        for waiter in party.waiters if party else ():
            del self._version_of[waiter]
        return party


def _place(party: Party) -> tuple[int, int]:
    return -party.first.rules.priority, party.number

"""Whose turn it is: between tenants by the seconds that they have had, between classes by their share. Pure.

The seconds of a tenant are those of the worker: of each batch its jobs' part, padding and fixed cost included. They are
counted per version, because who has a version to itself takes nothing from others, and is not to wait elsewhere for it.
The load of a version is charged to nobody: all who wait for it profit alike, and who comes later is lifted to them.
"""

import itertools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.dispatch.jobs import Urgency

Tenant = str | None
_KEPT_IDLE: Final = 64
# What somebody who was idle may use before those who were not. Without it, the second of two commands would wait behind
# a flood, and more would spoil the shares of those who ask for all that they can get.
_HEAD_START_S: Final = 1.0


@dataclass(slots=True)
class _Account:
    served_s: float = 0.0  # over its weight
    turn: int = -1


class Fairness:
    """Virtual counters (S-LoRA): the tenant with the fewest seconds over its weight goes first.

    Who comes back is lifted to the lowest counter of those who are there, less a short head start, so that nobody saves
    up by being idle. Who is there: who has jobs that wait, or are being computed.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        self._weights = weights
        self._accounts: dict[Tenant, _Account] = {}
        self._jobs: Counter[Tenant] = Counter()
        self._turns = itertools.count()
        self._level_s = 0.0

    def __len__(self) -> int:
        """Tenants who are there."""
        return len(self._jobs)

    def come(self, tenant: Tenant) -> None:
        """One more job."""
        if tenant not in self._jobs:
            if not self._jobs:
                self._accounts.clear()  # nobody lacks anything: the next contest begins at nought
                self._level_s = 0.0
            self._level_s = max(self._level_s, self._floor_s())
            account = self._accounts.setdefault(tenant, _Account())
            account.served_s = max(account.served_s, self._level_s - _HEAD_START_S)
        self._jobs[tenant] += 1

    def go(self, tenant: Tenant) -> None:
        """One job less."""
        self._jobs[tenant] -= 1
        if not self._jobs[tenant]:
            del self._jobs[tenant]
            if len(self._accounts) > len(self._jobs) + _KEPT_IDLE:
                self._forget()

    def charge(self, tenant: Tenant, seconds: float) -> None:
        """It has had so much more, or less where that was counted before."""
        account = self._accounts.setdefault(tenant, _Account())
        account.served_s += seconds / self.weight(tenant)
        account.turn = next(self._turns)

    def weight(self, tenant: Tenant) -> float:
        """How much more than others it is due."""
        return self._weights.get(tenant, 1.0) if tenant is not None else 1.0

    def place(self, tenant: Tenant) -> tuple[float, int]:
        """The lower goes first; of equals, who had its last turn longer ago."""
        account = self._accounts[tenant]
        return account.served_s, account.turn

    def _floor_s(self) -> float:
        return min((self._accounts[tenant].served_s for tenant in self._jobs), default=0.0)

    def _forget(self) -> None:
        """Counters that a return would lift anyway."""
        floor_s = self._floor_s()
        for tenant in [name for name, account in self._accounts.items() if account.served_s <= floor_s]:
            if tenant not in self._jobs:
                del self._accounts[tenant]


class Classes:
    """Interactive before bulk; but bulk is due its share of the seconds while both wait."""

    def __init__(self, bulk_share: float) -> None:
        self._owed_per_s = bulk_share / (1 - bulk_share)
        self._owed_s = 0.0

    def is_bulk_due(self, predicted_s: float) -> bool:
        """Whether a bulk batch that takes so long goes before what is interactive."""
        return self._owed_per_s > 0 and self._owed_s >= predicted_s

    def served(self, urgency: Urgency, seconds: float, *, is_bulk_waiting: bool) -> None:
        """A batch was taken."""
        if urgency is Urgency.BULK:
            self._owed_s = max(0.0, self._owed_s - seconds)
        elif is_bulk_waiting:
            self._owed_s += seconds * self._owed_per_s
        else:
            self._owed_s = 0.0

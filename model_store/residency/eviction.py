"""Which residents go when a newcomer needs room. Pure: reads, decides, changes nothing.

An idle resident goes first. One that is in demand, with a lease or without one since a moment ago, has its turn: it is
asked to make room only when it and the newcomer have both been there for `turn_s`, so that versions which share a slot
answer what has come for them before they change places, and none waits for ever. Copies have no turn and nobody's
protection: they go before all others, in use or not, for their version is served without them as well.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from model_store.residency.events import Priority
from model_store.residency.ledger import Ledger, Phase, Resident
from model_store.residency.policies import Policy
from model_store.residency.settings import ResidencySettings

# A copy may have the room of who has been idle for so many times as long as it would take to have that one back: even
# if everybody who went for copies came back at once, loads would take no more than a small part of the time.
_LOADS_IDLE: Final = 10.0


@dataclass(frozen=True)
class Claim:
    """Somebody's need of room: for whom, how urgent, since when."""

    tenant: str | None
    priority: Priority
    since_s: float


def victims(candidates: Sequence[Resident], needed_bytes: int) -> list[Resident] | None:
    """The fewest bytes' worth of `candidates` that free `needed_bytes`.

    They come in the order in which they should go. Greedy in that order, then whoever turned out not to be needed is
    let off, the last first. None when all together are not enough: then nobody goes.
    """
    chosen: list[Resident] = []
    freed = 0
    for resident in candidates:
        if freed >= needed_bytes:
            break
        chosen.append(resident)
        freed += resident.charged_bytes
    if freed < needed_bytes:
        return None
    for resident in reversed(list(chosen)):
        if freed - resident.charged_bytes >= needed_bytes:
            chosen.remove(resident)
            freed -= resident.charged_bytes
    return chosen


class Eviction:
    """The rules by which residents go, under one policy."""

    def __init__(self, settings: ResidencySettings, policy: Policy) -> None:
        self._settings = settings
        self._policy = policy

    def for_newcomer(self, ledger: Ledger, needed_bytes: int, claim: Claim, now_s: float) -> list[Resident] | None:
        """Who makes room for it, None while nobody has to; those with leases are to finish what they have."""
        open_to_claim = self._open(ledger, claim.tenant)
        idle = self._ordered(res for res in open_to_claim if self._rests(res, now_s))
        if (plan := victims(idle, needed_bytes)) is not None:
            return plan
        turned = [res for res in open_to_claim if res not in idle and self._turn_ends_s(res, claim) <= now_s]
        return victims([*idle, *self._ordered(turned)], needed_bytes)

    def for_deficit(self, ledger: Ledger, deficit_bytes: int) -> list[Resident]:
        """Who goes because something took more than it was charged; nobody while that does not help.

        Copies with leases are to finish what they have.
        """
        idle = (resident for resident in self._open(ledger, None) if resident.leases == 0 or resident.is_copy)
        return victims(self._ordered(idle), deficit_bytes) or []

    def for_copy(
        self, ledger: Ledger, needed_bytes: int, own: Resident, since_s: float, now_s: float
    ) -> list[Resident] | None:
        """Who makes room for a copy of `own`: only who is worth less, and was not used since `since_s` nor for long."""

        def is_less(resident: Resident) -> bool:
            unused_from_s = min(since_s, now_s - _LOADS_IDLE * resident.load_s)
            return resident.used_at_s <= unused_from_s and self._rank(resident) < self._rank(own)

        rested = (res for res in self._open(ledger, None) if res.is_idle and self._rests(res, now_s))
        return victims(self._ordered(res for res in rested if is_less(res)), needed_bytes)

    def next_chance_s(self, ledger: Ledger, claim: Claim, now_s: float) -> float:
        """When a claim that got no answer may get another one, though nothing else happens."""
        times = (
            time_s
            for resident in self._open(ledger, claim.tenant)
            for time_s in (self._rests_from_s(resident), self._turn_ends_s(resident, claim))
        )
        return min((time_s for time_s in times if time_s > now_s), default=float("inf"))

    def _open(self, ledger: Ledger, tenant: str | None) -> list[Resident]:
        kept = guaranteed(ledger, tenant, self._settings.tenant_guarantees_bytes)
        return [res for res in ledger if _may_go(res) and not res.is_pinned and res.id not in kept]

    def _ordered(self, residents: Iterable[Resident]) -> list[Resident]:
        return sorted(residents, key=self._rank)

    def _rank(self, resident: Resident) -> tuple[bool, Priority, float]:
        return not resident.is_copy, resident.rules.priority, self._policy.worth(resident)

    def _rests(self, resident: Resident, now_s: float) -> bool:
        return resident.is_copy or (resident.is_idle and self._rests_from_s(resident) <= now_s)

    def _rests_from_s(self, resident: Resident) -> float:
        """From when on a resident without a lease is free to go: its queue may be between two batches."""
        lingers_until_s = resident.used_at_s + min(self._settings.linger_s, self._settings.turn_s)
        return max(lingers_until_s, resident.loaded_at_s + self._settings.min_residency_s)

    def _turn_ends_s(self, resident: Resident, claim: Claim) -> float:
        """When it must make room though it is in demand: never for a lower class."""
        if resident.rules.priority > claim.priority:
            return float("inf")
        shared_s = max(claim.since_s, resident.loaded_at_s) + self._settings.turn_s
        return max(shared_s, resident.loaded_at_s + self._settings.min_residency_s)


def _may_go(resident: Resident) -> bool:
    """Nobody waits for a copy that is still loading."""
    return resident.phase is Phase.READY or (resident.is_copy and resident.phase is Phase.LOADING)


def guaranteed(ledger: Ledger, tenant: str | None, bytes_of: Mapping[str, int]) -> Collection[int]:
    """Residents that `tenant` cannot evict: what others used last, up to the bytes that these were promised."""
    kept: set[int] = set()
    for other, promised_bytes in bytes_of.items():
        if other == tenant:
            continue
        left = promised_bytes
        theirs = [resident for resident in ledger if other in resident.tenants and not resident.is_copy]
        for resident in sorted(theirs, key=lambda resident: resident.tenants[other], reverse=True):
            if resident.charged_bytes <= left:
                left -= resident.charged_bytes
                kept.add(resident.id)
    return kept

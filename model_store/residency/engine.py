"""The residency engine: (state, event, clock) -> actions. No I/O, no tasks, no locks.

It grants leases. A version that is not there is started where it fits; where it does not, residents that eviction.py
picks are stopped, and the newcomer starts when their memory is back. A newcomer that waits for room keeps its place:
those behind it may use what is resident, but start nothing in the room that it waits for. Every event that may change
who can be helped ends in `_settle`, which goes through the line from its head with what is free and what is coming.
"""

import heapq
import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from model_store.errors import CapacityError, DeviceMemoryExhausted, LoadFailed, QueueFull, VoxgateError
from model_store.residency.breaker import Breakers
from model_store.residency.devices import Device
from model_store.residency.events import (
    BACK,
    DEFICIT,
    IDLE,
    LOST,
    MIB,
    ROOM,
    UNWANTED,
    Action,
    Budget,
    Demand,
    Event,
    Exited,
    Gone,
    Grant,
    Left,
    LoadBroke,
    Loaded,
    Measured,
    Prefetch,
    Refuse,
    Released,
    Start,
    Stop,
    Tick,
    Wanted,
)
from model_store.residency.eviction import Eviction
from model_store.residency.ledger import Ledger, Phase, Resident
from model_store.residency.line import Line, Party
from model_store.residency.placement import Room, places, stands_in
from model_store.residency.policies import Policy, chosen
from model_store.residency.settings import ResidencySettings


class Engine:
    """All state of residency; changed by `handle` alone."""

    def __init__(self, devices: tuple[Device, ...], settings: ResidencySettings, policy: Policy | None = None) -> None:
        self.ledgers = {device.id: Ledger(device) for device in devices}
        self.breakers = Breakers(settings)
        self._settings = settings
        self._policy = policy or chosen(settings, devices)
        self._eviction = Eviction(settings, self._policy)
        self._line = Line()
        self._wishes: dict[str, Prefetch] = {}
        self._residents: dict[int, tuple[Ledger, Resident]] = {}
        self._serving: dict[str, Resident] = {}  # loading or ready, by version
        self._idle_ends: list[tuple[float, int]] = []  # a heap of when keep-alives end; some entries are out of date
        self._next_chance_s = math.inf
        self._ids = itertools.count()
        self._uses = itertools.count(1)

    def handle(self, event: Event, now_s: float) -> list[Action]:
        """What to do after `event`, in this order. `now_s` never goes back."""
        match event:
            case Wanted():
                return self._want(event, now_s)
            case Left():
                return self._leave(event.waiter, now_s)
            case Prefetch():
                self._wishes[event.version] = event
                return self._settle(now_s)
            case Budget():
                return [*self._resize(self.ledgers[event.device], event.budget_bytes), *self._settle(now_s)]
            case Tick():
                return [*self._end_keep_alives(now_s), *self._settle(now_s)]
        found = self._residents.get(event.resident)
        return list(self._change(*found, event, now_s)) if found else []

    def resident(self, resident_id: int) -> Resident | None:
        """The resident of that number, while its bytes are charged."""
        found = self._residents.get(resident_id)
        return found[1] if found else None

    def device(self, resident_id: int) -> Device:
        """Where a resident is whose bytes are charged."""
        return self._residents[resident_id][0].device

    def is_serving(self, version: str) -> bool:
        """Whether it is there, or on its way."""
        return version in self._serving

    @property
    def waiting(self) -> int:
        """Leases that were asked for and neither granted nor refused."""
        return len(self._line)

    @property
    def parties(self) -> Iterator[Party]:
        """Who waits for which version, in the order in which they are helped."""
        return iter(self._line)

    @property
    def wakes_at_s(self) -> float:
        """When it wants a Tick if nothing happens before; infinite when it wants none."""
        return min(self._next_chance_s, self._idle_ends[0][0] if self._idle_ends else math.inf)

    # Who wants what ---------------------------------------------------------------------------------------------------

    def _want(self, wanted: Wanted, now_s: float) -> list[Action]:
        serving = self._serving.get(wanted.version)
        if serving is not None:
            serving.rules = wanted.rules
            if serving.phase is Phase.READY:
                return [self._grant(wanted.waiter, serving, wanted.demand.tenant, now_s, is_cold=False)]
        try:
            self._check(wanted, now_s)
        except VoxgateError as error:
            return [Refuse(wanted.waiter, error)]
        party = self._line.join(wanted, now_s)
        party.is_cold |= serving is not None
        return [] if serving is not None else self._settle(now_s)

    def _check(self, wanted: Wanted, now_s: float) -> None:
        """Raise what a waiter is to be told at once: it failed of late, too many wait for it, it can never fit."""
        if refusal := self.breakers.refusal(wanted.version, now_s):
            raise refusal
        party = self._line.party(wanted.version)
        if party is not None and len(party.waiters) >= self._settings.max_waiters:
            raise QueueFull("Too many wait for this model to be loaded; come back later.", retry_after_s=5.0)
        if wanted.version not in self._serving:
            places(party or Party(0, wanted, now_s), map(Room.of, self.ledgers.values()))

    def _leave(self, waiter: int, now_s: float) -> list[Action]:
        party = self._line.leave(waiter)
        if party is None or party.waiters:
            return []
        serving = self._serving.get(party.version)
        cancelled = [self._stop(serving, UNWANTED)] if serving is not None and not serving.is_prefetched else []
        return [*cancelled, *self._settle(now_s)]

    def _grant(self, waiter: int, resident: Resident, tenant: str | None, now_s: float, *, is_cold: bool) -> Action:
        resident.leases += 1
        self._mark_use(resident, now_s)
        self._policy.used(resident)
        if tenant is not None and tenant in self._settings.tenant_guarantees_bytes:
            resident.tenants[tenant] = now_s
        return Grant(waiter, resident.id, is_cold)

    def _mark_use(self, resident: Resident, now_s: float) -> None:
        resident.used_at_s = now_s
        resident.last_use = next(self._uses)

    def _admit(self, resident: Resident, now_s: float) -> Iterator[Action]:
        """Grant all who waited for it their leases."""
        if party := self._line.dismiss(resident.version):
            for number, waiter in party.waiters.items():
                yield self._grant(number, resident, waiter.tenant, now_s, is_cold=party.is_cold)

    def _refuse_all(self, version: str, error: VoxgateError) -> Iterator[Action]:
        if party := self._line.dismiss(version):
            yield from (Refuse(waiter, error) for waiter in party.waiters)

    # What becomes of residents ----------------------------------------------------------------------------------------

    def _change(self, ledger: Ledger, resident: Resident, event: Event, now_s: float) -> Iterator[Action]:
        match event:
            case Released():
                yield from self._release(ledger, resident, now_s)
                return
            case Loaded() if resident.phase is Phase.LOADING:
                yield from self._open(ledger, resident, event.steady_bytes, now_s)
            case LoadBroke():
                yield from self._break(resident, event, now_s)
            case Measured():
                ledger.charge(resident, max(resident.charged_bytes, event.private_bytes))
            case Exited() | Gone():
                yield from self._break(resident, LoadBroke(resident.id, _ENDED, has_died=True), now_s)
                self._close(resident)
                if isinstance(event, Gone):
                    ledger.remove(resident)
                    del self._residents[resident.id]
        yield from self._settle(now_s)

    def _release(self, ledger: Ledger, resident: Resident, now_s: float) -> Iterator[Action]:
        resident.leases -= 1
        self._mark_use(resident, now_s)
        if resident.leases == 0 and resident.phase is Phase.DRAINING:
            yield self._stop(resident, ROOM)
        self._keep_alive(resident)
        yield from self._end_keep_alives(now_s)
        if len(self._line) or ledger.free_bytes < 0:
            yield from self._settle(now_s)

    def _open(self, ledger: Ledger, resident: Resident, steady_bytes: int, now_s: float) -> Iterator[Action]:
        resident.phase, resident.loaded_at_s = Phase.READY, now_s
        self._mark_use(resident, now_s)
        self.breakers.succeeded(resident.version)
        ledger.charge(resident, steady_bytes)
        yield from self._admit(resident, now_s)
        self._keep_alive(resident)

    def _break(self, resident: Resident, broke: LoadBroke, now_s: float) -> Iterator[Action]:
        """A load failed, unless it was stopped meanwhile: try it once more where that may help, else tell all."""
        if resident.phase is not Phase.LOADING:
            return
        self._close(resident)
        party = self._line.party(resident.version)
        was_short = isinstance(broke.error, DeviceMemoryExhausted)
        told = f"with {resident.charged_bytes // MIB} MiB: {broke.error.message}"
        if party is not None and not party.tried and (was_short or broke.has_died):
            party.try_again(told, is_larger=was_short)
            return
        self.breakers.failed(resident.version, broke.error.message, now_s)
        error = _exhausted_twice([*party.tried, told]) if party and was_short else broke.error
        yield from self._refuse_all(resident.version, error)

    def _close(self, resident: Resident) -> None:
        """It takes nothing new, and its bytes are charged until they are back."""
        resident.phase = Phase.STOPPING
        if self._serving.get(resident.version) is resident:
            del self._serving[resident.version]

    def _stop(self, resident: Resident, reason: str) -> Action:
        self._close(resident)
        return Stop(resident.id, reason)

    def _resize(self, ledger: Ledger, budget_bytes: int | None) -> Iterator[Action]:
        """Others took memory of a device or gave some back; or it is lost, with all that was on it, or there again."""
        was_lost, ledger.is_lost = ledger.is_lost, budget_bytes is None
        if budget_bytes is not None:
            ledger.most_bytes = max(ledger.most_bytes, ledger.device.budget_bytes, budget_bytes)
            ledger.device = replace(ledger.device, budget_bytes=budget_bytes)
        if ledger.is_lost and not was_lost:
            yield from (self._stop(resident, LOST) for resident in ledger if resident.phase is not Phase.STOPPING)
        elif was_lost and not ledger.is_lost:
            for other in self.ledgers.values():
                for resident in other:
                    if resident.is_degraded and resident.phase in (Phase.LOADING, Phase.READY):
                        yield from self._make_way(resident, BACK)

    def _make_way(self, resident: Resident, reason: str = ROOM) -> Iterator[Action]:
        """Stop it, or let it finish first."""
        self._close(resident)
        if resident.leases:
            resident.phase = Phase.DRAINING
        else:
            yield Stop(resident.id, reason)

    def _reopen(self, rooms: list[Room], now_s: float, version: str | None = None) -> Iterator[Action]:
        """Let those go on that drain where nobody counts on their room any more; of `version`, if one is named."""
        for room in rooms:
            for resident in room.ledger if room.coming_bytes and not room.is_claimed else ():
                is_meant = resident.phase is Phase.DRAINING and resident.version not in self._serving
                if is_meant and not resident.is_degraded and version in (None, resident.version):
                    resident.phase = Phase.READY
                    room.coming_bytes -= resident.charged_bytes
                    self._serving[resident.version] = resident
                    yield from self._admit(resident, now_s)

    def _keep_alive(self, resident: Resident) -> None:
        """Note when it is to go if nobody uses it again."""
        if resident.is_idle and math.isfinite(ends_s := self._idle_ends_s(resident)):
            heapq.heappush(self._idle_ends, (ends_s, resident.id))

    def _idle_ends_s(self, resident: Resident) -> float:
        if resident.rules.is_pinned:
            return math.inf
        return resident.used_at_s + max(resident.rules.keep_alive_s, self._settings.linger_s)

    def _end_keep_alives(self, now_s: float) -> Iterator[Action]:
        while self._idle_ends and self._idle_ends[0][0] <= now_s:
            resident = self.resident(heapq.heappop(self._idle_ends)[1])
            if resident is not None and resident.is_idle and self._idle_ends_s(resident) <= now_s:
                yield self._stop(resident, IDLE)

    # Who gets room ----------------------------------------------------------------------------------------------------

    def _settle(self, now_s: float) -> list[Action]:
        """Repay what was taken too much, then help the line from its head, as far as the room goes."""
        actions = [action for ledger in self.ledgers.values() for action in self._repay(ledger)]
        self._next_chance_s = math.inf
        if not len(self._line) and not self._wishes:
            return actions
        actions += self._refuse_overdue(now_s)
        rooms = [Room.of(ledger) for ledger in self.ledgers.values()]
        # Those that may not evict come last, or they would live on what others had evicted.
        for party in sorted(self._line, key=lambda party: not self.breakers.may_evict(party.version, now_s)):
            if all(room.is_closed for room in rooms):
                break
            actions += self._reopen(rooms, now_s, party.version)
            if party.version not in self._serving:
                actions += self._help(party, rooms, now_s)
        actions += self._reopen(rooms, now_s)
        for wish in list(self._wishes.values()):
            actions += self._fulfil(wish, rooms, now_s)
        return actions

    def _repay(self, ledger: Ledger) -> Iterator[Action]:
        if ledger.free_bytes < 0 and (deficit := -ledger.free_bytes - ledger.coming_bytes) > 0:
            for resident in self._eviction.for_deficit(ledger, deficit):
                yield self._stop(resident, DEFICIT)

    def _refuse_overdue(self, now_s: float) -> Iterator[Action]:
        for party in self._line:
            if party.version not in self._serving:
                for waiter in party.overdue(self._settings.max_wait_s, now_s):
                    self._line.leave(waiter)
                    yield Refuse(waiter, self._too_late(party))
                if party.waiters:
                    self._wake_at(party.first_since_s + self._settings.max_wait_s)

    def _help(self, party: Party, rooms: list[Room], now_s: float) -> Iterator[Action]:
        """Start a version where it fits, else see to it that it will."""
        try:
            where = [room for room in places(party, rooms) if not room.is_closed]
        except CapacityError as error:  # what is pinned or fixed has grown meanwhile, or a device is lost
            yield from self._refuse_all(party.version, error)
            return
        for room in where:
            if party.needs_bytes(room.ledger) <= room.free_bytes and self._may_load(room.ledger, party):
                party.is_cold = True
                yield self._start(party, room, now_s)
                return
        if not self.breakers.may_evict(party.version, now_s):
            self._wake_at(self.breakers.next_change_s(party.version, now_s))
        elif where:
            yield from self._make_room(party, where, now_s)

    def _make_room(self, party: Party, where: list[Room], now_s: float) -> Iterator[Action]:
        """Count on what is coming, or have others go, or wait for what they hold; nobody behind takes it."""
        for room in where:
            if (needed := party.needs_bytes(room.ledger)) <= room.free_bytes + room.coming_bytes:
                room.promise(needed)
                if party.tried:
                    room.close()
                return
        for room in where:
            lacking = (needed := party.needs_bytes(room.ledger)) - room.free_bytes - room.coming_bytes
            if plan := self._eviction.for_newcomer(room.ledger, lacking, party.claim, now_s):
                for resident in plan:
                    room.coming_bytes += resident.charged_bytes
                    yield from self._make_way(resident)
                room.promise(needed)
                return
            self._wake_at(self._eviction.next_chance_s(room.ledger, party.claim, now_s))
        where[0].close()

    def _may_load(self, ledger: Ledger, party: Party) -> bool:
        """Few load at once. A second try has its device's loads to itself: nothing else is to make it fail."""
        loading = [(at, resident) for at, resident in self._residents.values() if resident.phase is Phase.LOADING]
        here = [resident for at, resident in loading if at is ledger]
        is_clear = not here if party.tried else not any(resident.is_second_try for resident in here)
        return is_clear and len(loading) < self._settings.max_loads

    def _start(self, party: Party, room: Room, now_s: float) -> Action:
        needed = party.needs_bytes(room.ledger)
        room.promise(needed)
        resident = Resident(next(self._ids), party.version, needed, started_at_s=now_s, rules=party.first.rules)
        resident.is_second_try = bool(party.tried)
        resident.is_prefetched = not party.waiters
        resident.is_degraded = stands_in(party, room.ledger, self.ledgers.values())
        room.ledger.add(resident)
        self._residents[resident.id] = (room.ledger, resident)
        self._serving[resident.version] = resident
        return Start(resident.id, resident.version, room.ledger.device)

    def _fulfil(self, wish: Prefetch, rooms: list[Room], now_s: float) -> Iterator[Action]:
        """Load what nobody waits for yet, in room that nobody waits for; without any, the wish is dropped."""
        party = Party(0, Wanted(-1, wish.version, wish.sizes, Demand(0), wish.rules), now_s)
        try:
            fitting = [room for room in places(party, rooms) if party.needs_bytes(room.ledger) <= room.free_bytes]
        except CapacityError:
            fitting = []
        is_moot = wish.version in self._serving or self.breakers.refusal(wish.version, now_s) is not None
        if is_moot or not fitting:
            del self._wishes[wish.version]
        elif self._may_load(fitting[0].ledger, party):
            del self._wishes[wish.version]
            yield self._start(party, fitting[0], now_s)

    def _wake_at(self, time_s: float) -> None:
        self._next_chance_s = min(self._next_chance_s, time_s)

    def _too_late(self, party: Party) -> DeviceMemoryExhausted:
        needs = {key: party.needs_bytes(ledger) for key, ledger in self.ledgers.items()}
        free = {key: max(0, ledger.free_bytes) for key, ledger in self.ledgers.items()}
        return DeviceMemoryExhausted(
            "Other models were in use for as long as this one may wait for room; come back when there is less to do.",
            retry_after_s=self._settings.max_wait_s,
            needed_bytes=needs,
            free_bytes=free,
        )


_ENDED: Final = LoadFailed("The worker ended while it loaded the model.")


def _exhausted_twice(tried: list[str]) -> DeviceMemoryExhausted:
    told = "; then ".join(tried)
    hint = f"Memory ran out while this model was loaded ({told})."
    return DeviceMemoryExhausted(hint, retry_after_s=60.0, tried=tried)

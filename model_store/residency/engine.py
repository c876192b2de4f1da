"""The residency engine: (state, event, clock) -> actions. No I/O, no tasks, no locks.

It grants leases. A version that is not there is started where it fits; where it does not, residents that eviction.py
picks are stopped, and the newcomer starts when their memory is back. A newcomer that waits for room keeps its place:
those behind it may use what is resident, but start nothing in the room that it waits for. Every event that may change
who can be helped ends in `_settle`, which goes through the line from its head with what is free and what is coming.
Nobody waits for the copies of a crowded version: they start by the way, at a lease, where nobody else waits for room.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from model_store.errors import CapacityError, DeviceMemoryExhausted, LoadFailed, QueueFull, VoxgateError
from model_store.residency.breaker import Breakers
from model_store.residency.devices import Device
from model_store.residency.events import (
    DEFICIT,
    MIB,
    REPLACED,
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
    Outdated,
    Prefetch,
    Refuse,
    Released,
    Ruled,
    Tick,
    Wanted,
)
from model_store.residency.eviction import Eviction
from model_store.residency.ledger import Ledger, Phase, Resident
from model_store.residency.line import Line, Party
from model_store.residency.placement import Room, places
from model_store.residency.policies import Policy, chosen
from model_store.residency.residents import Residents
from model_store.residency.settings import ResidencySettings


class Engine:
    """All state of residency; changed by `handle` alone."""

    def __init__(self, devices: tuple[Device, ...], settings: ResidencySettings, policy: Policy | None = None) -> None:
        self._residents = Residents(devices, settings)
        self.ledgers = self._residents.ledgers
        self.breakers = Breakers(settings)
        self._settings = settings
        self._policy = policy or chosen(settings, devices)
        self._eviction = Eviction(settings, self._policy)
        self._line = Line()
        self._wishes: dict[str, Prefetch] = {}
        self._copies = self._residents.copies
        self._next_chance_s = math.inf

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
            case Ruled():
                return self._rule(event, now_s)
            case Budget():
                return [*self._residents.resize(event.device, event.budget_bytes), *self._settle(now_s)]
            case Tick():
                return [*self._residents.end_keep_alives(now_s), *self._settle(now_s)]
        resident = self._residents.find(event.resident)
        return list(self._change(resident, event, now_s)) if resident else []

    def resident(self, resident_id: int) -> Resident | None:
        """The resident of that number, while its bytes are charged."""
        return self._residents.find(resident_id)

    def device(self, resident_id: int) -> Device:
        """Where a resident is whose bytes are charged."""
        return self._residents.ledger(resident_id).device

    def is_serving(self, version: str) -> bool:
        """Whether it is there, or on its way."""
        return version in self._copies

    def predictors(self, version: str) -> int:
        """How many there are to take leases on it now, each on a device of its own."""
        return len(self._copies.ready(version))

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
        return min(self._next_chance_s, self._residents.keep_alives.next_end_s)

    # Who wants what ---------------------------------------------------------------------------------------------------

    def _want(self, wanted: Wanted, now_s: float) -> list[Action]:
        serving = self._copies.of(wanted.version)
        for resident in serving:
            resident.rules = wanted.rules
        if free := self._copies.least_busy(wanted.version):
            crowded_since_s = self._copies.due_since_s(wanted, now_s)
            grant = self._grant(wanted.waiter, free, wanted.demand.tenant, now_s, is_cold=False)
            return [grant, *(self._copy(wanted, crowded_since_s, now_s) if crowded_since_s is not None else ())]
        try:
            self._check(wanted, now_s)
        except VoxgateError as error:
            return [Refuse(wanted.waiter, error)]
        party = self._line.join(wanted, now_s)
        party.is_cold |= bool(serving)
        return [] if serving else self._settle(now_s)

    def _check(self, wanted: Wanted, now_s: float) -> None:
        """Raise what a waiter is to be told at once: it failed of late, too many wait for it, it can never fit."""
        if refusal := self.breakers.refusal(wanted.version, now_s):
            raise refusal
        party = self._line.party(wanted.version)
        if party is not None and len(party.waiters) >= self._settings.max_waiters:
            raise QueueFull("Too many wait for this model to be loaded; come back later.", retry_after_s=5.0)
        if wanted.version not in self._copies:
            places(party or Party(0, wanted, now_s), map(Room.of, self.ledgers.values()))

    def _leave(self, waiter: int, now_s: float) -> list[Action]:
        party = self._line.leave(waiter)
        if party is None or party.waiters:
            return []
        loading = self._copies.of(party.version)
        cancelled = [self._residents.stop(resident, UNWANTED) for resident in loading if not resident.is_prefetched]
        return [*cancelled, *self._settle(now_s)]

    def _grant(self, waiter: int, resident: Resident, tenant: str | None, now_s: float, *, is_cold: bool) -> Action:
        resident.leases += 1
        self._residents.mark_use(resident, now_s)
        self._policy.used(resident)
        if tenant is not None and tenant in self._settings.tenant_guarantees_bytes:
            resident.tenants[tenant] = now_s
        return Grant(waiter, resident.id, is_cold)

    def _admit(self, resident: Resident, now_s: float) -> Iterator[Action]:
        """Grant all who waited for it their leases."""
        if party := self._line.dismiss(resident.version):
            for number, waiter in party.waiters.items():
                yield self._grant(number, resident, waiter.tenant, now_s, is_cold=party.is_cold)

    def _refuse_all(self, version: str, error: VoxgateError) -> Iterator[Action]:
        if party := self._line.dismiss(version):
            yield from (Refuse(waiter, error) for waiter in party.waiters)

    # What becomes of residents ----------------------------------------------------------------------------------------

    def _change(self, resident: Resident, event: Event, now_s: float) -> Iterator[Action]:
        match event:
            case Released():
                yield from self._release(resident, now_s)
                return
            case Loaded() if resident.phase is Phase.LOADING:
                self._residents.open(resident, event, now_s)
                self.breakers.succeeded(resident.version)
                yield from self._admit(resident, now_s)
                self._residents.keep_alives.note(resident)
            case Outdated() if resident.is_serving:
                yield from self._residents.make_way(resident, REPLACED)
            case LoadBroke():
                yield from self._break(resident, event, now_s)
            case Measured():
                ledger = self._residents.ledger(resident.id)
                ledger.charge(resident, max(resident.charged_bytes, event.private_bytes))
            case Exited() | Gone():
                yield from self._break(resident, LoadBroke(resident.id, _ENDED, has_died=True), now_s)
                self._residents.close(resident)
                if isinstance(event, Gone):
                    self._residents.remove(resident)
        yield from self._settle(now_s)

    def _release(self, resident: Resident, now_s: float) -> Iterator[Action]:
        resident.leases -= 1
        self._residents.mark_use(resident, now_s)
        if resident.leases == 0 and resident.phase is Phase.DRAINING and resident.leaving:
            self._residents.close(resident)
            yield resident.leaving
        self._residents.keep_alives.note(resident)
        yield from self._residents.end_keep_alives(now_s)
        if len(self._line) or self._residents.ledger(resident.id).free_bytes < 0:
            yield from self._settle(now_s)

    def _break(self, resident: Resident, broke: LoadBroke, now_s: float) -> Iterator[Action]:
        """A load failed, unless it was stopped meanwhile: try it once more where that may help, else tell all."""
        if resident.phase is not Phase.LOADING:
            return
        self._residents.close(resident)
        if resident.is_copy:
            self._copies.failed(resident, self.device(resident.id), broke.error, now_s)
            return
        party = self._line.party(resident.version)
        was_short = isinstance(broke.error, DeviceMemoryExhausted)
        told = f"with {resident.charged_bytes // MIB} MiB: {broke.error.message}"
        if party is not None and not party.tried and (was_short or broke.has_died):
            party.try_again(told, is_larger=was_short)
            return
        self.breakers.failed(resident.version, broke.error.message, now_s)
        error = _exhausted_twice([*party.tried, told]) if party and was_short else broke.error
        yield from self._refuse_all(resident.version, error)

    def _reopen(self, rooms: list[Room], now_s: float, version: str | None = None) -> Iterator[Action]:
        """Let those go on that drain where nobody counts on their room any more; of `version`, if one is named."""
        for room in rooms:
            for resident in room.ledger if room.coming_bytes and not room.is_claimed else ():
                is_meant = resident.phase is Phase.DRAINING and resident.version not in self._copies
                if is_meant and resident.may_stay and version in (None, resident.version):
                    room.coming_bytes -= resident.charged_bytes
                    self._residents.reopen(resident)
                    yield from self._admit(resident, now_s)

    def _rule(self, ruled: Ruled, now_s: float) -> list[Action]:
        self._line.rule(ruled.version, ruled.rules)
        if wish := self._wishes.get(ruled.version):
            self._wishes[ruled.version] = replace(wish, rules=ruled.rules)
        stopped = [*self._residents.rule(ruled.version, ruled.rules), *self._residents.end_keep_alives(now_s)]
        return [*stopped, *self._settle(now_s)]

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
            if party.version not in self._copies:
                actions += self._help(party, rooms, now_s)
        actions += self._reopen(rooms, now_s)
        for wish in list(self._wishes.values()):
            actions += self._fulfil(wish, rooms, now_s)
        return actions

    def _repay(self, ledger: Ledger) -> Iterator[Action]:
        if ledger.free_bytes < 0 and (deficit := -ledger.free_bytes - ledger.coming_bytes) > 0:
            for resident in self._eviction.for_deficit(ledger, deficit):
                yield from self._residents.make_way(resident, DEFICIT)

    def _refuse_overdue(self, now_s: float) -> Iterator[Action]:
        for party in self._line:
            if party.version not in self._copies:
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
                yield self._residents.start(party, room, now_s)
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
        if plans := [(room, plan) for room in where if (plan := self._plan(party, room, now_s))]:
            room, plan = min(plans, key=lambda planned: not all(resident.is_copy for resident in planned[1]))
            for resident in plan:
                room.coming_bytes += resident.charged_bytes
                yield from self._residents.make_way(resident, ROOM, party.version)
            room.promise(party.needs_bytes(room.ledger))
            return
        for room in where:
            self._wake_at(self._eviction.next_chance_s(room.ledger, party.claim, now_s))
        where[0].close()

    def _plan(self, party: Party, room: Room, now_s: float) -> list[Resident] | None:
        lacking = party.needs_bytes(room.ledger) - room.free_bytes - room.coming_bytes
        return self._eviction.for_newcomer(room.ledger, lacking, party.claim, now_s)

    def _copy(self, wanted: Wanted, crowded_since_s: float, now_s: float) -> Iterator[Action]:
        """Start a copy where there is room that nobody waits for, or see to it that there will be at a later lease."""
        if self._wishes or any(party.version not in self._copies for party in self._line):
            return
        party = Party(0, wanted, now_s)
        try:
            rooms = places(party, map(Room.of, self.ledgers.values()))
        except CapacityError:  # what is pinned or fixed has grown meanwhile
            return
        where = [room for room in rooms if self._copies.may_stand(wanted.version, room.ledger, now_s)]
        lacking = [(party.needs_bytes(room.ledger) - room.free_bytes, room) for room in where]
        for bytes_, room in lacking:
            if bytes_ <= 0 and self._may_load(room.ledger, party):
                yield self._residents.start(party, room, now_s)
                return
        if any(bytes_ <= room.coming_bytes for bytes_, room in lacking):
            return
        own = self._copies.own(wanted.version)
        for bytes_, room in lacking:
            needed = bytes_ - room.coming_bytes
            if plan := self._eviction.for_copy(room.ledger, needed, own, crowded_since_s, now_s):
                yield from (self._residents.stop(resident, ROOM, party.version) for resident in plan)
                return

    def _may_load(self, ledger: Ledger, party: Party) -> bool:
        """Few load at once. A second try has its device's loads to itself: nothing else is to make it fail.

        A copy leaves one of them to others, where there are several.
        """
        here = self._residents.loading(ledger)
        is_clear = not here if party.tried else not any(resident.is_second_try for resident in here)
        most = max(1, self._settings.max_loads - (party.version in self._copies))
        return is_clear and len(self._residents.loading()) < most

    def _fulfil(self, wish: Prefetch, rooms: list[Room], now_s: float) -> Iterator[Action]:
        """Load what nobody waits for yet, in room that nobody waits for; without any, the wish is dropped."""
        party = Party(0, Wanted(-1, wish.version, wish.sizes, Demand(0), wish.rules), now_s)
        try:
            fitting = [room for room in places(party, rooms) if party.needs_bytes(room.ledger) <= room.free_bytes]
        except CapacityError:
            fitting = []
        is_moot = wish.version in self._copies or self.breakers.refusal(wish.version, now_s) is not None
        if is_moot or not fitting:
            del self._wishes[wish.version]
        elif self._may_load(fitting[0].ledger, party):
            del self._wishes[wish.version]
            yield self._residents.start(party, fitting[0], now_s)

    def _wake_at(self, time_s: float) -> None:
        self._next_chance_s = min(self._next_chance_s, time_s)

    def _too_late(self, party: Party) -> DeviceMemoryExhausted:
        needs = {key: party.needs_bytes(ledger) for key, ledger in self.ledgers.items()}
        free = {key: max(0, ledger.room_bytes) for key, ledger in self.ledgers.items()}
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

"""The residency engine: (state, event, clock) -> actions. No I/O, no tasks, no locks.

It grants leases in the order in which they were asked for. A version that is not there is started where it fits; where
it does not, the fewest least recently used residents that nobody holds are stopped, and the newcomer starts when their
processes have ended: bytes that are being freed still count as used. A newcomer that waits for room keeps its place:
those behind it may use what is resident, but start nothing in the room that it waits for.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from model_store.catalog.records import DeviceKind
from model_store.errors import DeviceMemoryExhausted, ModelUnavailable, VoxgateError
from model_store.residency.devices import Device
from model_store.residency.eviction import victims
from model_store.residency.ledger import Ledger, Phase, Resident

MIB: Final = 2**20


@dataclass(frozen=True)
class Size:
    """Bytes that a version takes on a kind of device: once warm, and at most while it loads."""

    steady_bytes: int
    peak_bytes: int


@dataclass(frozen=True)
class Demand:
    """Who wants a version, as dispatch sees it when it asks for a lease; deadlines on CLOCK_MONOTONIC."""

    queue_length: int
    oldest_deadline_s: float | None = None
    tenant: str | None = None


# Events: what happened ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wanted:
    """A waiter asks for a lease on a version, whose sizes per kind of device are known or predicted."""

    waiter: int
    version: str
    sizes: Mapping[DeviceKind, Size]
    demand: Demand


@dataclass(frozen=True)
class Left:
    """A waiter has gone."""

    waiter: int


@dataclass(frozen=True)
class Released:
    """A lease was given back."""

    resident: int


@dataclass(frozen=True)
class Loaded:
    """A predictor is warm and takes this much."""

    resident: int
    steady_bytes: int


@dataclass(frozen=True)
class LoadBroke:
    """A load failed; `Gone` follows when the process has ended."""

    resident: int
    error: VoxgateError


@dataclass(frozen=True)
class Measured:
    """A predictor takes this much now."""

    resident: int
    private_bytes: int


@dataclass(frozen=True)
class Gone:
    """The process of a resident has ended, asked or not."""

    resident: int


Event = Wanted | Left | Released | Loaded | LoadBroke | Measured | Gone


# Actions: what to do about it -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Start:
    """Load a version on a device."""

    resident: int
    version: str
    device: Device


@dataclass(frozen=True)
class Stop:
    """End a resident's process; `reason` is "room" for a newcomer, "deficit" when one took more than it was charged."""

    resident: int
    reason: str


@dataclass(frozen=True)
class Grant:
    """Give a waiter its lease; `is_cold` when it had to wait for a load."""

    waiter: int
    resident: int
    is_cold: bool


@dataclass(frozen=True)
class Refuse:
    """Tell a waiter that it gets no lease."""

    waiter: int
    error: VoxgateError


Action = Start | Stop | Grant | Refuse


@dataclass
class _Waiter:
    wanted: Wanted
    is_cold: bool = False


@dataclass
class _Room:
    """Bytes of one device not yet promised in this round: free now, and coming back from those that are ending."""

    free_bytes: int
    coming_bytes: int

    def promise(self, needed_bytes: int) -> None:
        self.free_bytes -= needed_bytes
        self.coming_bytes += min(0, self.free_bytes)
        self.free_bytes = max(0, self.free_bytes)

    def close(self) -> None:
        self.free_bytes = self.coming_bytes = 0


class Engine:
    """All state of residency; changed by `handle` alone."""

    def __init__(self, devices: tuple[Device, ...], failure_backoff_s: float) -> None:
        self.ledgers = {device.id: Ledger(device) for device in devices}
        self._failure_backoff_s = failure_backoff_s
        self._ids = itertools.count()
        self._waiters: dict[int, _Waiter] = {}
        self._failures: dict[str, tuple[float, str]] = {}

    def handle(self, event: Event, now_s: float) -> list[Action]:
        """What to do after `event`, in this order."""
        return [*self._take_in(event, now_s), *self._settle(now_s)]

    def resident(self, resident_id: int) -> Resident | None:
        """The resident of that number, while its bytes are charged."""
        return next((resident for _, resident in self._residents() if resident.id == resident_id), None)

    @property
    def waiting(self) -> int:
        """Leases that were asked for and neither granted nor refused."""
        return len(self._waiters)

    def _residents(self) -> list[tuple[Ledger, Resident]]:
        return [(ledger, resident) for ledger in self.ledgers.values() for resident in ledger]

    def _take_in(self, event: Event, now_s: float) -> list[Action]:
        match event:
            case Wanted():
                self._waiters[event.waiter] = _Waiter(event)
                return []
            case Left():
                self._waiters.pop(event.waiter, None)
                return []
        found = next(((led, res) for led, res in self._residents() if res.id == event.resident), None)
        return self._change(*found, event, now_s) if found else []

    def _change(self, ledger: Ledger, resident: Resident, event: Event, now_s: float) -> list[Action]:
        match event:
            case Released():
                resident.leases -= 1
                resident.used_at_s = now_s
            case Loaded():
                resident.phase, resident.loaded_at_s = Phase.READY, now_s
                self._failures.pop(resident.version, None)
                ledger.charge(resident, event.steady_bytes)
            case LoadBroke():
                resident.phase = Phase.STOPPING
                return self._fail(resident.version, event.error, now_s)
            case Measured():
                ledger.charge(resident, max(resident.charged_bytes, event.private_bytes))
                return self._repay(ledger)
            case Gone():
                ledger.remove(resident)
        return []

    def _fail(self, version: str, error: VoxgateError, now_s: float) -> list[Action]:
        self._failures[version] = (now_s + self._failure_backoff_s, error.message)
        waiting = [number for number, waiter in self._waiters.items() if waiter.wanted.version == version]
        return [self._refuse(number, error) for number in waiting]

    def _repay(self, ledger: Ledger) -> list[Action]:
        deficit = -(ledger.free_bytes + ledger.stopping_bytes)
        return self._stop(victims(ledger, deficit) or [], "deficit") if deficit > 0 else []

    def _settle(self, now_s: float) -> list[Action]:
        """Serve the waiters in order, as far as the room goes."""
        rooms = {key: _Room(max(0, ledger.free_bytes), ledger.stopping_bytes) for key, ledger in self.ledgers.items()}
        promised: set[str] = set()
        actions: list[Action] = []
        for number, waiter in list(self._waiters.items()):
            resident = self._serving(waiter.wanted.version)
            if resident is not None:
                actions += self._grant(number, waiter, resident)
            elif waiter.wanted.version not in promised:
                promised.add(waiter.wanted.version)
                actions += self._make_room(number, waiter.wanted, rooms, now_s)
        return actions

    def _serving(self, version: str) -> Resident | None:
        serving = (res for _, res in self._residents() if res.version == version and res.phase is not Phase.STOPPING)
        return next(serving, None)

    def _grant(self, number: int, waiter: _Waiter, resident: Resident) -> list[Action]:
        if resident.phase is Phase.LOADING:
            waiter.is_cold = True
            return []
        del self._waiters[number]
        resident.leases += 1
        next(ledger for ledger, res in self._residents() if res is resident).touch(resident)
        return [Grant(number, resident.id, waiter.is_cold)]

    def _make_room(self, number: int, wanted: Wanted, rooms: dict[str, _Room], now_s: float) -> list[Action]:
        until_s, failure = self._failures.get(wanted.version, (now_s, ""))
        if now_s < until_s:
            hint = f"This version failed to load a moment ago ({failure}) and is left alone for a while."
            return [self._refuse(number, ModelUnavailable(hint, retry_after_s=until_s - now_s))]
        fitting = [led for led in self.ledgers.values() if _needs(wanted, led) <= led.capacity_bytes]
        if not fitting:
            return [self._refuse(number, self._too_large(wanted))]
        for ledger in fitting:
            if (placed := self._place(wanted, ledger, rooms[ledger.device.id])) is not None:
                return placed
        rooms[fitting[0].device.id].close()  # nobody behind takes what comes free before this one
        return []

    def _place(self, wanted: Wanted, ledger: Ledger, room: _Room) -> list[Action] | None:
        """Start here, or wait for room here, or make it; None when all that stands here is in use."""
        needed = _needs(wanted, ledger)
        if needed <= room.free_bytes:
            room.promise(needed)
            return [self._start(wanted.version, ledger, needed)]
        chosen = victims(ledger, needed - room.free_bytes - room.coming_bytes)
        if chosen is None:
            return None
        room.coming_bytes += sum(resident.charged_bytes for resident in chosen)
        room.promise(needed)
        return self._stop(chosen, "room")

    def _start(self, version: str, ledger: Ledger, needed_bytes: int) -> Action:
        resident = Resident(next(self._ids), version, needed_bytes)
        ledger.add(resident)
        for waiter in self._waiters.values():
            waiter.is_cold |= waiter.wanted.version == version
        return Start(resident.id, version, ledger.device)

    def _stop(self, chosen: list[Resident], reason: str) -> list[Action]:
        for resident in chosen:
            resident.phase = Phase.STOPPING
        return [Stop(resident.id, reason) for resident in chosen]

    def _refuse(self, number: int, error: VoxgateError) -> Action:
        del self._waiters[number]
        return Refuse(number, error)

    def _too_large(self, wanted: Wanted) -> DeviceMemoryExhausted:
        needs = {ledger.device.id: _needs(wanted, ledger) for ledger in self.ledgers.values()}
        holds = {ledger.device.id: ledger.capacity_bytes for ledger in self.ledgers.values()}
        told = "; ".join(f"{key}: needs {needs[key] // MIB} MiB of {holds[key] // MIB} MiB" for key in needs)
        return DeviceMemoryExhausted(
            f"This model fits on no device ({told}). Raise `residency.cpu_budget_bytes` or serve it elsewhere.",
            retry_after_s=60.0,
            needed_bytes=needs,
            capacity_bytes=holds,
        )


def _needs(wanted: Wanted, ledger: Ledger) -> int:
    return wanted.sizes[ledger.device.kind].peak_bytes

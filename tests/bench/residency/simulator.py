"""The residency engine on a virtual clock, over devices that are made up: the one that runs in production, unchanged.

A made-up load takes the time and the bytes that its fate says: it peaks before it is warm, and memory runs out there
when the device has no more; it may be refused, or its process may die; a process takes a while to end, and its memory a
while longer to come back. What the simulator counts (leases, bytes, processes) it counts by itself, and holds against
the engine's books after every event.
"""

import heapq
import itertools
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from model_store.catalog.records import DeviceKind
from model_store.errors import DeviceMemoryExhausted, LoadFailed, VoxgateError
from model_store.residency.devices import Device
from model_store.residency.engine import Engine
from model_store.residency.events import (
    LOST,
    UNRULED,
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
    ModelRules,
    Prefetch,
    Refuse,
    Released,
    Size,
    Start,
    Stop,
    Tick,
    Wanted,
)
from model_store.residency.ledger import Phase

_PEAKS_AT = 0.6  # of a load


@dataclass(frozen=True)
class Model:
    """A version as residency knows it before it is loaded."""

    version: str
    size_bytes: int
    load_s: float
    peak_bytes: int = 0
    rules: ModelRules = UNRULED

    @property
    def size(self) -> Size:
        """What a load is predicted to take."""
        return Size(self.size_bytes, self.peak_bytes or self.size_bytes)

    @property
    def sizes(self) -> dict[DeviceKind, Size]:
        """The same on every kind of device."""
        return {"cpu": self.size, "gpu": self.size}


@dataclass(frozen=True)
class Fate:
    """What becomes of one load, and of its process when it is told to end."""

    load_s: float
    steady_bytes: int
    peak_bytes: int
    fault: Literal["refused", "dies"] | None = None
    stop_s: float = 0.0
    free_s: float = 0.0


def as_predicted(model: Model) -> Fate:
    """The load that everybody expects."""
    return Fate(model.load_s, model.size.steady_bytes, model.size.peak_bytes)


@dataclass(eq=False)
class Process:
    """One worker."""

    resident: int
    model: Model
    device: Device
    fate: Fate
    bytes: int = 0
    leases: int = 0
    is_stopped: bool = False
    is_ending: bool = False


@dataclass(eq=False)
class Request:
    """Somebody who wants a lease, holds it for `hold_s`, and leaves after `patience_s` without one.

    `begins` is told which process it has got, and says how long it holds that; `ends` is told that it is over.
    """

    number: int
    model: Model
    hold_s: float
    asked_s: float
    answered_s: float | None = None
    is_cold: bool = False
    has_left: bool = False
    error: VoxgateError | None = None
    begins: Callable[[Process], float] | None = None
    ends: Callable[[], object] | None = None

    @property
    def is_over(self) -> bool:
        """Whether it waits for nothing any more."""
        return self.answered_s is not None or self.has_left

    @property
    def waited_s(self) -> float:
        """How long it took until it got its lease, or was told why not."""
        assert self.answered_s is not None
        return self.answered_s - self.asked_s


class Simulator:
    """A clock, a heap of what will happen, and the figures of what did.

    `physical_bytes` is what a device really has, by its id; without end where it is not said. Raises AssertionError as
    soon as the engine breaks a promise.
    """

    def __init__(
        self,
        engine: Engine,
        fate: Callable[[Model], Fate] = as_predicted,
        physical_bytes: dict[str, int] | None = None,
    ) -> None:
        self.engine = engine
        self.now_s = 0.0
        self.processes: dict[int, Process] = {}
        self.requests: dict[int, Request] = {}
        self.started: list[str] = []
        self.loaded: list[str] = []
        self.stops: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.exhaustions = 0
        self.longest_wait_s = 0.0
        self.events = 0
        self._fate = fate
        self._physical_bytes = physical_bytes or {}
        self._models: dict[str, Model] = {}
        self._numbers = itertools.count()
        self._agenda: list[tuple[float, int, Callable[[], object]]] = []
        self._tick_at_s = math.inf

    # What a test does -------------------------------------------------------------------------------------------------

    def ask(
        self,
        model: Model,
        hold_s: float = 0.0,
        *,
        patience_s: float = math.inf,
        tenant: str | None = None,
        queue_length: int = 1,
        begins: Callable[[Process], float] | None = None,
        ends: Callable[[], object] | None = None,
    ) -> Request:
        """Want a lease now."""
        self._models[model.version] = model
        request = Request(next(self._numbers), model, hold_s, self.now_s, begins=begins, ends=ends)
        self.requests[request.number] = request
        demand = Demand(queue_length, tenant=tenant)
        self.tell(Wanted(request.number, model.version, model.sizes, demand, model.rules))
        if math.isfinite(patience_s):
            self.after(patience_s, lambda: self.leave(request))
        return request

    def prefetch(self, model: Model) -> None:
        """Wish for a version."""
        self._models[model.version] = model
        self.tell(Prefetch(model.version, model.sizes, model.rules))

    def leave(self, request: Request) -> None:
        """Give up waiting; nothing for who has got an answer."""
        if not request.is_over:
            request.has_left = True
            del self.requests[request.number]
            self.tell(Left(request.number))

    def kill(self, process: Process) -> None:
        """End a process as a crash does."""
        if not process.is_ending:
            self._end(process, after_s=0.0)

    def grow(self, process: Process, to_bytes: int) -> None:
        """Let a process take more than it did when it was warm."""
        process.bytes = to_bytes
        self.tell(Measured(process.resident, to_bytes))

    def lose(self, device: Device, for_s: float) -> None:
        """Let a device answer no more, and be back in a while."""
        self.tell(Budget(device.id, None))
        self.after(for_s, lambda: self.tell(Budget(device.id, device.budget_bytes)))

    def after(self, delay_s: float, what: Callable[[], object]) -> None:
        """Put something on the agenda."""
        heapq.heappush(self._agenda, (self.now_s + delay_s, next(self._numbers), what))

    def run(self, until_s: float = math.inf) -> None:
        """Let time pass."""
        while self._agenda and self._agenda[0][0] <= until_s:
            self.now_s, _, what = heapq.heappop(self._agenda)
            what()
        if math.isfinite(until_s):
            self.now_s = until_s

    def run_until(self, is_reached: Callable[[], bool]) -> None:
        """Let time pass until then, or until nothing happens any more."""
        while not is_reached() and self._agenda:
            self.now_s, _, what = heapq.heappop(self._agenda)
            what()

    # What the world does ----------------------------------------------------------------------------------------------

    def tell(self, event: Event) -> None:
        """An event, and all that the engine wants done about it."""
        self.events += 1
        for action in self.engine.handle(event, self.now_s):
            self._carry_out(action)
        self._check()
        if (wakes_at_s := self.engine.wakes_at_s) < self._tick_at_s:
            self._tick_at_s = wakes_at_s
            self.after(max(0.0, wakes_at_s - self.now_s), self._tick)

    def _tick(self) -> None:
        if self.now_s >= self._tick_at_s:
            self._tick_at_s = math.inf
            self.tell(Tick())

    def _carry_out(self, action: Action) -> None:
        match action:
            case Start():
                self._start(action)
            case Stop():
                self._stop(self.processes[action.resident], action.reason)
            case Grant():
                self._grant(action)
            case Refuse():
                request = self.requests.pop(action.waiter)
                request.error, request.answered_s = action.error, self.now_s
                self.longest_wait_s = max(self.longest_wait_s, request.waited_s)
                self.refusals[action.error.code] += 1

    def _stop(self, process: Process, reason: str) -> None:
        assert process.leases == 0 or reason == LOST, "evicted in use"
        assert not process.is_stopped, "stopped twice"
        assert not process.is_ending or reason == LOST, "stopped after its end"
        process.is_stopped = True
        self.stops[reason] += 1
        if not process.is_ending:
            self._end(process, process.fate.stop_s)

    def _start(self, action: Start) -> None:
        model = self._models[action.version]
        process = Process(action.resident, model, action.device, self._fate(model))
        self.processes[action.resident] = process
        self.started.append(action.version)
        self.after(process.fate.load_s * _PEAKS_AT, lambda: self._peak(process))

    def _peak(self, process: Process) -> None:
        if process.is_ending:
            return
        fate = process.fate
        process.bytes = fate.peak_bytes
        taken = sum(other.bytes for other in self.processes.values() if other.device is process.device)
        if taken > self._physical_bytes.get(process.device.id, math.inf):
            self.exhaustions += 1
            self._break(process, DeviceMemoryExhausted("Memory ran out."), has_died=False)
        elif fate.fault is not None:
            self._break(process, LoadFailed("It cannot be loaded."), has_died=fate.fault == "dies")
        else:
            self.after(fate.load_s * (1 - _PEAKS_AT), lambda: self._warm(process))

    def _break(self, process: Process, error: VoxgateError, *, has_died: bool) -> None:
        process.is_ending = True
        self.tell(LoadBroke(process.resident, error, has_died))
        process.is_ending = False
        self._end(process, 0.0)

    def _warm(self, process: Process) -> None:
        if not process.is_ending:
            process.bytes = process.fate.steady_bytes
            self.loaded.append(process.model.version)
            self.tell(Loaded(process.resident, process.bytes))

    def _end(self, process: Process, after_s: float) -> None:
        process.is_ending = True
        self.after(after_s, lambda: self.tell(Exited(process.resident)))
        self.after(after_s + process.fate.free_s, lambda: self._free(process))

    def _free(self, process: Process) -> None:
        del self.processes[process.resident]
        self.tell(Gone(process.resident))

    def _grant(self, action: Grant) -> None:
        request, process = self.requests.pop(action.waiter), self.processes[action.resident]
        assert not request.is_over, "answered twice"
        assert process.model.version == request.model.version, "another version"
        request.answered_s, request.is_cold = self.now_s, action.is_cold
        self.longest_wait_s = max(self.longest_wait_s, request.waited_s)
        others = (other.leases for other in self._ready(process))
        assert process.leases <= min(others, default=process.leases), "a copy has less to do"
        process.leases += 1
        hold_s = request.begins(process) if request.begins else request.hold_s
        self.after(hold_s, lambda: self._release(process, request))

    def _release(self, process: Process, request: Request) -> None:
        process.leases -= 1
        self.tell(Released(process.resident))
        if request.ends:
            request.ends()

    def _ready(self, process: Process) -> list[Process]:
        """The predictors of its version that the engine gives leases on."""
        same = (other for other in self.processes.values() if other.model.version == process.model.version)
        residents = ((other, self.engine.resident(other.resident)) for other in same)
        return [other for other, resident in residents if resident is not None and resident.phase is Phase.READY]

    def _check(self) -> None:
        """The engine's books against the processes there are."""
        for ledger in self.engine.ledgers.values():
            charged = 0
            for resident in ledger:
                process = self.processes[resident.id]
                assert resident.leases == process.leases, "leases that do not agree"
                assert resident.charged_bytes >= 0
                charged += resident.charged_bytes
            assert ledger.charged_bytes == ledger.fixed_bytes + charged, "a sum that does not agree"

"""The residency manager: the one owner of what is loaded where on this machine.

All state is the engine's. `_handle` never awaits, so an event and its decisions are one step; what they ask for is
carried out by `effects.py`, whose outcomes come back as the next events.
"""

import asyncio
import contextlib
import itertools
import math
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from model_store.artifacts.store import ArtifactStore
from model_store.catalog.protocol import Catalog
from model_store.catalog.records import DeviceKind
from model_store.errors import LoadFailed, ShuttingDown, VoxgateError
from model_store.residency import metrics
from model_store.residency.breaker import STATES
from model_store.residency.devices import Device, alike
from model_store.residency.effects import Effects
from model_store.residency.engine import Engine
from model_store.residency.events import (
    Demand,
    Event,
    Exited,
    Gone,
    Grant,
    Left,
    LoadBroke,
    ModelRules,
    Outdated,
    Prefetch,
    Refuse,
    Released,
    Ruled,
    Size,
    Start,
    Stop,
    Tick,
    Wanted,
)
from model_store.residency.gpus import GpuWatch
from model_store.residency.journal import Journal
from model_store.residency.ledger import Phase
from model_store.residency.measurements import Measurements
from model_store.residency.rules import Rulebook
from model_store.residency.settings import ResidencySettings
from model_store.residency.view import ResidencyView, look
from model_store.residency.ways import Ways
from model_store.runtime.seam import Runtime, Worker
from model_store.runtime.settings import RuntimeSettings

log = structlog.get_logger()
_MEASURE_EVERY_S = 1.0
_CATALOG_EVERY_S = 2.0
_SHORT = 12


@dataclass(frozen=True, eq=False)
class Lease:
    """A hold on a loaded version: its worker stays until the lease is given back. `is_cold`: it waited for a load.

    `is_degraded`: its device stands in for a faster one that is lost.
    """

    worker: Worker
    version: str
    is_cold: bool
    device: str = ""
    is_degraded: bool = False


class ResidencyManager:
    """Gives leases on versions, and decides what must be loaded and what must go for them."""

    def __init__(
        self,
        runtime: Runtime,
        devices: tuple[Device, ...],
        store: ArtifactStore,
        catalog: Catalog,
        settings: ResidencySettings,
        runtime_settings: RuntimeSettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.engine = Engine(devices, settings)
        self._runtime = runtime
        self._clock = clock
        self._settings = settings
        self._catalog = catalog
        self._rules = Rulebook(catalog, settings)
        self._sizes = Measurements(catalog)
        self._ways = Ways(store, self._rules.said, runtime_settings, alike(devices))
        self._effects = Effects(runtime, store, self._ways, self._sizes, settings, runtime_settings, self._hear)
        self._gpus = GpuWatch(devices, self._effects.holdings, self._handle)
        self._journal = Journal(self.engine.resident, self._effects.model)
        self._numbers = itertools.count()
        self._waiters: dict[int, asyncio.Future[Grant]] = {}
        self._starting: asyncio.Task[None] | None = None
        self._working: list[asyncio.Task[None]] = []
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at_s = math.inf
        self._is_closed = False

    def start(self) -> None:
        """Begin to start the runtime; whoever wants a lease meanwhile waits for it. Tried again when it fails."""
        if not self._is_closed:
            self._starting = asyncio.create_task(self._start(), name="residency-start")
            self._starting.add_done_callback(self._start_again)

    @property
    def is_ready(self) -> bool:
        """Whether a load could begin at once."""
        return self._starting is not None and self._starting.done() and not self._starting.exception()

    def _start_again(self, started: asyncio.Task[None]) -> None:
        if not started.cancelled() and (error := started.exception()):
            log.error("residency.start_failed", error=str(error))
            asyncio.get_running_loop().call_later(self._settings.failure_backoff_s, self.start)

    @contextlib.asynccontextmanager
    async def lease(self, version: str, demand: Demand) -> AsyncIterator[Lease]:
        """A hold on `version`, loading it where need be.

        Raises DeviceMemoryExhausted, LoadFailed, ModelUnavailable, QueueFull or ShuttingDown. Cancelling gives up the
        place.
        """
        grant = await self._wait_for(version, demand)
        while (worker := self._effects.worker(grant.resident)) is None:  # it died between the grant and this turn
            grant = await self._wait_for(version, demand)
        lease = self._lease(worker, version, grant)
        try:
            yield lease
        finally:
            if worker.exited.done():  # before anybody else is given a lease on a dead worker
                self._effects.ended(grant.resident)
            self._handle(Released(grant.resident))

    def _lease(self, worker: Worker, version: str, grant: Grant) -> Lease:
        model = self._effects.model(version)
        resident = self.engine.resident(grant.resident)
        is_degraded = resident is not None and resident.is_degraded
        metrics.LEASES.labels(model, "cold" if grant.is_cold else "warm").inc()
        if is_degraded:
            metrics.DEGRADED_LEASES.labels(model).inc()
        return Lease(worker, version, grant.is_cold, self.engine.device(grant.resident).id, is_degraded)

    def predictors(self, version: str) -> int:
        """How many batches of a version can be computed at a time: one on each device that it is ready on."""
        return self.engine.predictors(version)

    async def prefetch(self, version: str) -> None:
        """Have `version` loaded soon, if it fits beside what is there and what others wait for."""
        await self._started()
        sizes = await self._sizes_of(version)
        self._handle(Prefetch(version, sizes, self._rules_of(version)))

    def look(self) -> ResidencyView:
        """What is loaded where, who waits for what, and what was decided of late."""
        return look(self.engine, self._journal, self._effects.known(), self._clock(), datetime.now(UTC))

    def measure(self) -> None:
        """Make the ledger true: charge what workers take now, where that is more. Done once a second."""
        for ledger in self.engine.ledgers.values():
            ledger.growth_bytes = self._sizes.growth_bytes(ledger.device.kind, ledger.device.budget_bytes)
        self.engine.ledgers["cpu"].fixed_bytes = self._runtime.shared_bytes()
        self._effects.measure()
        self._gpus.look()
        self._show()

    async def follow_catalog(self) -> None:
        """Have the engine follow the catalogue as it is now. Done every other second.

        Changed rules hold for what is loaded, too: what would be loaded otherwise now makes way, and is prefetched. So
        is a version that takes the traffic over from one that is loaded. A catalogue that does not answer changes
        nothing.
        """
        try:
            switched = await self._rules.refresh()
        except VoxgateError as error:
            log.warning("residency.catalog_silent", error=error.message)
            return
        for version, rules in self._rules.changed():
            log.info("residency.ruled", model=self._effects.model(version), version=version[:_SHORT])
            self._handle(Ruled(version, rules))
        for version in self._replace_outdated():
            await self._prefetch_next(version)
        for old, new in switched:
            if self.engine.is_serving(old):
                await self._prefetch_next(new)

    def _replace_outdated(self) -> set[str]:
        """Have those make way that would be loaded otherwise by now; returns their versions."""
        self._ways.look_again()
        found = (self.engine.resident(number) for number in self._effects.outdated())
        outdated = [resident for resident in found if resident is not None and resident.is_serving]
        for resident in outdated:
            log.info("residency.replaced", model=self._effects.model(resident.version), resident=resident.id)
            self._handle(Outdated(resident.id))
        return {resident.version for resident in outdated}

    async def _prefetch_next(self, version: str) -> None:
        try:
            await self.prefetch(version)
        except VoxgateError as error:  # a request for it will be told
            log.warning("residency.prefetch_failed", version=version[:_SHORT], error=error.message)

    async def stop(self) -> None:
        """Refuse who waits, end every worker, and the runtime."""
        self._is_closed = True
        for waiter in self._waiters.values():
            if not waiter.done():
                waiter.set_exception(ShuttingDown("The gateway is shutting down."))
        for pending in (self._starting, *self._working, self._alarm):
            if pending is not None:
                pending.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)  # a query cut short gives its connection back
        await self._effects.stop_all("shutdown")
        await self._runtime.stop()

    async def _start(self) -> None:
        """Start the runtime, and charge what it holds to the CPU."""
        await self._runtime.start()
        self.engine.ledgers["cpu"].fixed_bytes = self._runtime.shared_bytes()
        await self.follow_catalog()
        self._working = [
            asyncio.create_task(self._keep_measuring(), name="residency-measure"),
            asyncio.create_task(self._keep_following(), name="residency-catalog"),
            asyncio.create_task(self._preload(), name="residency-preload"),
        ]

    async def _preload(self) -> None:
        for name in self._settings.preload:
            try:
                stable = {model.name: model.stable for model in await self._catalog.models()}
                if version := stable.get(name):
                    await self.prefetch(version)
                else:
                    log.warning("residency.preload_unknown", model=name, models=sorted(stable))
            except VoxgateError as error:  # a request for it will be told
                log.warning("residency.preload_failed", model=name, error=error.message)

    async def _started(self) -> None:
        if self._starting is None or self._is_closed:
            raise ShuttingDown("The gateway is shutting down.")
        try:
            await asyncio.shield(self._starting)
        except (ConnectionError, TimeoutError) as exc:
            raise LoadFailed(f"No worker can be started: {exc}.") from exc

    async def _wait_for(self, version: str, demand: Demand) -> Grant:
        await self._started()
        sizes = await self._sizes_of(version)
        if self._is_closed:
            raise ShuttingDown("The gateway is shutting down.")
        number = next(self._numbers)
        waiter: asyncio.Future[Grant] = asyncio.get_running_loop().create_future()
        self._waiters[number] = waiter
        if not self.engine.is_serving(version):  # others may have taken memory since the last look
            self._gpus.look()
        self._handle(Wanted(number, version, sizes, demand, self._rules_of(version)))
        try:
            return await waiter
        except asyncio.CancelledError:
            # The grant may have been set in the same turn of the loop as the cancel: then it goes back.
            is_granted = waiter.done() and not waiter.cancelled() and not waiter.exception()
            self._handle(Released(waiter.result().resident) if is_granted else Left(number))
            raise
        finally:
            del self._waiters[number]

    async def _sizes_of(self, version: str) -> dict[DeviceKind, Size]:
        kinds = {ledger.device.kind for ledger in self.engine.ledgers.values()}
        ways = {kind: self._ways.of(version, kind) for kind in kinds}
        refusals = [way.refusal for way in ways.values() if way.refusal]
        if len(refusals) == len(ways):  # what one kind of device refuses, another may still serve
            raise refusals[0]
        return {kind: await self._sizes.size(way) for kind, way in ways.items()}

    def _rules_of(self, version: str) -> ModelRules:
        return self._rules.of(version, self._effects.model(version))

    def _hear(self, event: Event) -> None:
        """What became of a resident; but first, whether its device is still there, and what is free of it now."""
        if isinstance(event, LoadBroke | Exited | Gone):
            self._gpus.look()
        self._handle(event)

    def _handle(self, event: Event) -> None:
        actions = self.engine.handle(event, now_s := self._clock())
        self._journal.note(event, actions, now_s)
        for action in () if self._is_closed else actions:  # at the end all are stopped, and nobody waits
            match action:
                case Start():
                    self._effects.start(action)
                case Stop():
                    self._effects.stop(action)
                case Grant():
                    if not (waiter := self._waiters[action.waiter]).done():
                        waiter.set_result(action)
                case Refuse():
                    if not (waiter := self._waiters[action.waiter]).done():
                        waiter.set_exception(action.error)
        metrics.LEASES_WAITING.set(self.engine.waiting)
        self._set_alarm()

    def _set_alarm(self) -> None:
        """Have the engine woken when it wants to be."""
        at_s = self.engine.wakes_at_s
        if at_s == self._alarm_at_s or self._is_closed:
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at_s = at_s
        if math.isfinite(at_s):
            self._alarm = asyncio.get_running_loop().call_later(max(0.0, at_s - self._clock()), self._ring)

    def _ring(self) -> None:
        self._alarm_at_s = math.inf
        self._handle(Tick())

    async def _keep_measuring(self) -> None:
        while True:
            await asyncio.sleep(_MEASURE_EVERY_S)
            self.measure()

    async def _keep_following(self) -> None:
        while True:
            await asyncio.sleep(_CATALOG_EVERY_S)
            await self.follow_catalog()

    def _show(self) -> None:
        breakers = self.engine.breakers.states(self._clock())
        for state in STATES:
            metrics.BREAKERS.labels(state).set(breakers[state])
        for ledger in self.engine.ledgers.values():
            device = ledger.device.id
            measured = self._effects.measured_bytes(ledger.device) + ledger.fixed_bytes
            metrics.DEVICE_MEMORY.labels(device, "budget").set(ledger.device.budget_bytes)
            metrics.DEVICE_MEMORY.labels(device, "shared").set(ledger.fixed_bytes)
            metrics.DEVICE_MEMORY.labels(device, "charged").set(ledger.charged_bytes)
            metrics.DEVICE_MEMORY.labels(device, "measured").set(measured)
            for phase in Phase:
                count = sum(resident.phase is phase for resident in ledger)
                metrics.RESIDENTS.labels(device, phase.value).set(count)

"""The residency manager: the one owner of what is loaded where on this machine.

All state is the engine's. `_handle` never awaits, so an event and its decisions are one step; what they ask for is
carried out by `effects.py`, whose outcomes come back as the next events.
"""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import structlog

from model_store.artifacts.store import ArtifactStore
from model_store.catalog.protocol import Catalog
from model_store.errors import LoadFailed, ShuttingDown
from model_store.residency import metrics
from model_store.residency.devices import Device
from model_store.residency.effects import Effects
from model_store.residency.ledger import Phase
from model_store.residency.measurements import Measurements
from model_store.residency.policy import Demand, Engine, Event, Grant, Left, Refuse, Released, Start, Stop, Wanted
from model_store.residency.settings import ResidencySettings
from model_store.runtime.seam import Runtime, Worker
from model_store.runtime.settings import RuntimeSettings

log = structlog.get_logger()
_MEASURE_EVERY_S = 1.0


@dataclass(frozen=True, eq=False)
class Lease:
    """A hold on a loaded version: its worker stays until the lease is given back. `is_cold`: it waited for a load."""

    worker: Worker
    version: str
    is_cold: bool


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
        self.engine = Engine(devices, settings.failure_backoff_s)
        self._runtime = runtime
        self._clock = clock
        self._failure_backoff_s = settings.failure_backoff_s
        self._sizes = Measurements(catalog)
        self._effects = Effects(runtime, store, self._sizes, settings, runtime_settings, self._handle)
        self._numbers = itertools.count()
        self._waiters: dict[int, asyncio.Future[Grant]] = {}
        self._starting: asyncio.Task[None] | None = None
        self._measuring: asyncio.Task[None] | None = None
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
            asyncio.get_running_loop().call_later(self._failure_backoff_s, self.start)

    @contextlib.asynccontextmanager
    async def lease(self, version: str, demand: Demand) -> AsyncIterator[Lease]:
        """A hold on `version`, loading it where need be.

        Raises DeviceMemoryExhausted, LoadFailed, ModelUnavailable or ShuttingDown. Cancelling gives up the place.
        """
        grant = await self._wait_for(version, demand)
        while (worker := self._effects.worker(grant.resident)) is None:  # it died between the grant and this turn
            grant = await self._wait_for(version, demand)
        try:
            yield Lease(worker, version, grant.is_cold)
        finally:
            if worker.exited.done():  # before anybody else is given a lease on a dead worker
                self._effects.ended(grant.resident)
            self._handle(Released(grant.resident))

    def measure(self) -> None:
        """Make the ledger true: charge what workers take now, where that is more. Done once a second."""
        self.engine.ledgers["cpu"].fixed_bytes = self._runtime.shared_bytes()
        self._effects.measure()
        self._show()

    async def stop(self) -> None:
        """Refuse who waits, end every worker, and the runtime."""
        self._is_closed = True
        for waiter in self._waiters.values():
            if not waiter.done():
                waiter.set_exception(ShuttingDown("The gateway is shutting down."))
        for task in (self._starting, self._measuring):
            if task is not None:
                task.cancel()
        await self._effects.stop_all("shutdown")
        await self._runtime.stop()

    async def _start(self) -> None:
        """Start the runtime, and charge what it holds to the CPU."""
        await self._runtime.start()
        self.engine.ledgers["cpu"].fixed_bytes = self._runtime.shared_bytes()
        self._measuring = asyncio.create_task(self._keep_measuring(), name="residency-measure")

    async def _started(self) -> None:
        if self._starting is None or self._is_closed:
            raise ShuttingDown("The gateway is shutting down.")
        try:
            await asyncio.shield(self._starting)
        except (ConnectionError, TimeoutError) as exc:
            raise LoadFailed(f"No worker can be started: {exc}.") from exc

    async def _wait_for(self, version: str, demand: Demand) -> Grant:
        await self._started()
        kinds = {ledger.device.kind for ledger in self.engine.ledgers.values()}
        sizes = {kind: await self._sizes.size(self._effects.loading(version, kind)) for kind in kinds}
        if self._is_closed:
            raise ShuttingDown("The gateway is shutting down.")
        number = next(self._numbers)
        waiter: asyncio.Future[Grant] = asyncio.get_running_loop().create_future()
        self._waiters[number] = waiter
        self._handle(Wanted(number, version, sizes, demand))
        try:
            return await waiter
        except asyncio.CancelledError:
            # The grant may have been set in the same turn of the loop as the cancel: then it goes back.
            is_granted = waiter.done() and not waiter.cancelled() and not waiter.exception()
            self._handle(Released(waiter.result().resident) if is_granted else Left(number))
            raise
        finally:
            del self._waiters[number]

    def _handle(self, event: Event) -> None:
        for action in self.engine.handle(event, self._clock()):
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

    async def _keep_measuring(self) -> None:
        while True:
            await asyncio.sleep(_MEASURE_EVERY_S)
            self.measure()

    def _show(self) -> None:
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

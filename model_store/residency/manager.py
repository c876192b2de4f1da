"""The residency manager: carries out what the engine decides, and tells it what came of that.

All state is the engine's. `_handle` never awaits, so an event and its decisions are one step; what they ask for runs in
tasks, whose outcome comes back as the next event.
"""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import structlog

from model_store.artifacts.manifest import Manifest
from model_store.artifacts.store import ArtifactStore
from model_store.catalog.protocol import Catalog
from model_store.engines.cpu import best_cpu_precision
from model_store.errors import LoadFailed, ShuttingDown, VoxgateError
from model_store.predictors.hypotheses import Precision
from model_store.residency import metrics, policy
from model_store.residency.devices import Device, gpu_process_bytes
from model_store.residency.ledger import Phase
from model_store.residency.measurements import Measurements
from model_store.residency.policy import Demand, Engine
from model_store.residency.settings import ResidencySettings
from model_store.runtime.messages import Load
from model_store.runtime.seam import Runtime, Worker, WorkerDied
from model_store.runtime.settings import RuntimeSettings

log = structlog.get_logger()
_MEASURE_EVERY_S = 1.0
_SHORT = 12


@dataclass(frozen=True, eq=False)
class Lease:
    """A hold on a loaded version: its worker stays until the lease is given back. `is_cold`: it waited for a load."""

    worker: Worker
    version: str
    is_cold: bool


@dataclass(eq=False)
class _Running:
    """What the shell keeps of a resident beyond the engine's numbers."""

    device: Device
    told: dict[str, str]  # the labels of its metrics and log lines
    worker: Worker | None = None
    stopping: str | None = None


class ResidencyManager:
    """The one owner of what is loaded where on this machine."""

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
        self._store = store
        self._settings = settings
        self._runtime_settings = runtime_settings
        self._clock = clock
        self._sizes = Measurements(catalog)
        self._manifests: dict[str, Manifest] = {}
        self._numbers = itertools.count()
        self._waiters: dict[int, asyncio.Future[policy.Grant]] = {}
        self._running: dict[int, _Running] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._starting: asyncio.Task[None] | None = None
        self._measuring: asyncio.Task[None] | None = None
        self._is_closed = False

    def start(self) -> None:
        """Begin to start the runtime; whoever wants a lease meanwhile waits for it."""
        self._starting = asyncio.create_task(self._start(), name="residency-start")

    @property
    def is_ready(self) -> bool:
        """Whether a load could begin at once."""
        return self._starting is not None and self._starting.done() and not self._starting.exception()

    async def _start(self) -> None:
        """Start the runtime, and charge what it holds to the CPU."""
        await self._runtime.start()
        self.engine.ledgers["cpu"].fixed_bytes = self._runtime.shared_bytes()
        self._measuring = asyncio.create_task(self._measure(), name="residency-measure")

    @contextlib.asynccontextmanager
    async def lease(self, version: str, demand: Demand) -> AsyncIterator[Lease]:
        """A hold on `version`, loading it where need be.

        Raises DeviceMemoryExhausted, LoadFailed, ModelUnavailable or ShuttingDown. Cancelling gives up the place.
        """
        grant = await self._wait_for(version, demand)
        worker = self._running[grant.resident].worker
        assert worker is not None  # noqa: S101  (a lease is granted only on a loaded resident)
        try:
            yield Lease(worker, version, grant.is_cold)
        finally:
            if worker.exited.done():  # before anybody else is given a lease on a dead worker
                self._gone(grant.resident)
            self._handle(policy.Released(grant.resident))

    async def stop(self) -> None:
        """Refuse who waits, end every worker, and the runtime."""
        self._is_closed = True
        for waiter in self._waiters.values():
            if not waiter.done():
                waiter.set_exception(ShuttingDown("The gateway is shutting down."))
        for task in (self._starting, self._measuring):
            if task is not None:
                task.cancel()
        for resident in list(self._running):
            self._carry_out(policy.Stop(resident, "shutdown"))
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._runtime.stop()

    def precision(self, device: Device) -> Precision:
        """How weights are computed with on a device."""
        wanted = self._runtime_settings.precision
        if wanted != "auto":
            return wanted
        return "fp16" if device.kind == "gpu" else best_cpu_precision()

    async def _started(self) -> None:
        if self._starting is None:
            raise ShuttingDown("The gateway has not been started.")
        try:
            await asyncio.shield(self._starting)
        except (ConnectionError, TimeoutError) as exc:
            raise LoadFailed(f"No worker can be started: {exc}.") from exc

    async def _wait_for(self, version: str, demand: Demand) -> policy.Grant:
        await self._started()
        manifest = self._manifest(version)
        sizes = {
            ledger.device.kind: await self._sizes.size(manifest, ledger.device.kind, self.precision(ledger.device))
            for ledger in self.engine.ledgers.values()
        }
        if self._is_closed:
            raise ShuttingDown("The gateway is shutting down.")
        number = next(self._numbers)
        waiter: asyncio.Future[policy.Grant] = asyncio.get_running_loop().create_future()
        self._waiters[number] = waiter
        self._handle(policy.Wanted(number, version, sizes, demand))
        try:
            return await waiter
        except asyncio.CancelledError:
            # The grant may have been set in the same turn of the loop as the cancel: then it goes back.
            granted = waiter.done() and not waiter.cancelled() and not waiter.exception()
            self._handle(policy.Released(waiter.result().resident) if granted else policy.Left(number))
            raise
        finally:
            del self._waiters[number]

    def _manifest(self, version: str) -> Manifest:
        if version not in self._manifests:
            self._manifests[version] = self._store.manifest(version)
        return self._manifests[version]

    def _handle(self, event: policy.Event) -> None:
        for action in self.engine.handle(event, self._clock()):
            self._carry_out(action)
        metrics.LEASES_WAITING.set(self.engine.waiting)

    def _carry_out(self, action: policy.Action) -> None:
        match action:
            case policy.Start():
                self._running[action.resident] = _Running(action.device, self._told(action))
                self._spawn(self._live(action))
            case policy.Stop():
                log.info("residency.stop", resident=action.resident, reason=action.reason)
                self._running[action.resident].stopping = action.reason
                self._spawn(self._end(self._running[action.resident]))
            case policy.Grant():
                if not (waiter := self._waiters[action.waiter]).done():
                    waiter.set_result(action)
            case policy.Refuse():
                if not (waiter := self._waiters[action.waiter]).done():
                    waiter.set_exception(action.error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _told(self, start: policy.Start) -> dict[str, str]:
        model = self._manifest(start.version).name
        return {"model": model, "version": start.version[:_SHORT], "device": start.device.id}

    async def _live(self, start: policy.Start) -> None:
        """One resident from its start to the end of its process."""
        try:
            worker = await self._runtime.spawn()
        except VoxgateError as error:
            self._load_broke(start, error)
            self._gone(start.resident)
            return
        running = self._running[start.resident]
        running.worker = worker
        try:
            if running.stopping is None:
                await self._load(start, worker)
                await asyncio.shield(worker.exited)
        finally:
            await worker.stop(self._settings.stop_grace_s)
            self._gone(start.resident)

    async def _load(self, start: policy.Start, worker: Worker) -> None:
        began_s = self._clock()
        try:
            loaded = await worker.load(self._command(start))
        except WorkerDied as died:
            self._load_broke(start, LoadFailed(f"The worker died while it loaded: {died}."))
            return
        except VoxgateError as error:
            self._load_broke(start, error)
            worker.kill()
            return
        load_s = self._clock() - began_s
        told = self._running[start.resident].told
        metrics.LOAD_SECONDS.labels(told["model"], told["device"]).observe(load_s)
        metrics.LOADS.labels(**told, outcome="loaded").inc()
        steady = _taken(start.device, worker)
        log.info("residency.loaded", **told, load_s=round(load_s, 3), bytes=steady, **loaded.stages_s)
        self._handle(policy.Loaded(start.resident, steady))
        peak = worker.peak_private_bytes if start.device.kind == "cpu" else steady
        await self._remember(start, policy.Size(steady, max(steady, peak)), load_s)

    async def _remember(self, start: policy.Start, size: policy.Size, load_s: float) -> None:
        """Keep the measurement; a catalogue that does not answer costs the next prediction, not this request."""
        precision = self.precision(start.device)
        try:
            await self._sizes.record(self._manifest(start.version), start.device.kind, precision, size, load_s)
        except VoxgateError as error:
            log.warning("residency.measurement_lost", version=start.version[:_SHORT], error=error.message)

    def _command(self, start: policy.Start) -> Load:
        return Load(
            version_dir=str(self._store.version_dir(start.version)),
            graph_dir=str(self._store.graph_dir(start.version)),
            precision=self.precision(start.device),
            threads=self._runtime_settings.threads,
            device=start.device.id,
        )

    def _load_broke(self, start: policy.Start, error: VoxgateError) -> None:
        told = self._running[start.resident].told
        log.warning("residency.load_failed", **told, error=error.message)
        metrics.LOADS.labels(**told, outcome="failed").inc()
        self._handle(policy.LoadBroke(start.resident, error))

    def _gone(self, resident: int) -> None:
        """Its process has ended. Told twice for a crash: by the lease that met it, and by the process' own end."""
        running = self._running.pop(resident, None)
        if running is not None:
            reason = running.stopping or "crash"
            metrics.EVICTIONS.labels(**running.told, reason=reason).inc()
            log.info("residency.gone", **running.told, reason=reason)
            self._handle(policy.Gone(resident))

    async def _end(self, running: _Running) -> None:
        if running.worker is not None:
            await running.worker.stop(self._settings.stop_grace_s)

    async def _measure(self) -> None:
        """Keep the ledger true: what workers really take, once a second."""
        while True:
            await asyncio.sleep(_MEASURE_EVERY_S)
            for resident, running in list(self._running.items()):
                if running.worker is not None and running.stopping is None:
                    self._handle(policy.Measured(resident, _taken(running.device, running.worker)))
            self._show()

    def _show(self) -> None:
        for ledger in self.engine.ledgers.values():
            device = ledger.device.id
            workers = [running.worker for running in self._running.values() if running.device is ledger.device]
            measured = sum(_taken(ledger.device, worker) for worker in workers if worker is not None)
            metrics.DEVICE_MEMORY.labels(device, "budget").set(ledger.device.budget_bytes)
            metrics.DEVICE_MEMORY.labels(device, "charged").set(ledger.charged_bytes)
            metrics.DEVICE_MEMORY.labels(device, "measured").set(measured + ledger.fixed_bytes)
            for phase in Phase:
                count = sum(resident.phase is phase for resident in ledger)
                metrics.RESIDENTS.labels(device, phase.value).set(count)


def _taken(device: Device, worker: Worker) -> int:
    """What the device gets back when the worker ends: on a GPU by the driver's figure, else its private bytes."""
    return worker.private_bytes() if device.kind == "cpu" else gpu_process_bytes(device, worker.pid)

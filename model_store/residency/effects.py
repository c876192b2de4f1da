"""What the engine's decisions do to the world: workers started, loaded, measured and ended.

Each outcome goes back to the engine as an event, through `report`; nothing here decides.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import structlog

from model_store.artifacts.store import ArtifactStore
from model_store.errors import DeviceMemoryExhausted, LoadFailed, VoxgateError
from model_store.residency import metrics
from model_store.residency.devices import Device, gpu_process_bytes
from model_store.residency.events import MIB, Event, Exited, Gone, LoadBroke, Loaded, Measured, Size, Start, Stop
from model_store.residency.measurements import Loading, Measurements
from model_store.residency.settings import ResidencySettings
from model_store.residency.view import Known
from model_store.residency.ways import Ways
from model_store.runtime.messages import Load
from model_store.runtime.messages import Loaded as HasLoaded
from model_store.runtime.seam import Runtime, Worker, WorkerDied
from model_store.runtime.settings import RuntimeSettings

log = structlog.get_logger()

_SHORT = 12
_FREED_POLL_S = 0.25
_LOADING_POLL_S = 0.1


@dataclass(eq=False)
class _Life:
    """One resident from its start to the end of its process; `largest_bytes` is the most it was seen to take.

    `is_urgent`: somebody waits, and what it takes when it is warm is known, so it answers before.
    """

    device: Device
    loading: Loading
    is_awaited: bool
    worker: Worker | None = None
    stopping: str | None = None
    is_urgent: bool = False
    has_loaded: bool = False
    has_ended: bool = False
    largest_bytes: int = 0

    @property
    def told(self) -> dict[str, str]:
        """The labels of its metrics and log lines."""
        manifest = self.loading.manifest
        return {"model": manifest.name, "version": manifest.digest[:_SHORT], "device": self.device.id}

    def look(self) -> None:
        """See what it takes now; on a CPU, what it took at most since it was loaded."""
        told = self.worker.most_run_bytes if self.worker and self.device.kind == "cpu" else 0
        self.largest_bytes = max(self.largest_bytes, self.taken_bytes, told)

    @property
    def size(self) -> Size:
        """The most that it was seen to take, once it was loaded and in its whole life."""
        peak_bytes = self.worker.peak_private_bytes if self.worker and self.device.kind == "cpu" else 0
        return Size(self.largest_bytes, max(self.largest_bytes, peak_bytes))

    @property
    def is_warm(self) -> bool:
        """Whether its worker has said that it is."""
        return self.worker is not None and self.worker.is_warm

    @property
    def holds_bytes(self) -> int:
        """What it takes if the driver does not say."""
        return self.largest_bytes if self.has_loaded and not self.has_ended else 0

    @property
    def taken_bytes(self) -> int:
        """What the device gets back when it ends: on a GPU by the driver's figure, else its private bytes."""
        if self.worker is None:
            return 0
        return (
            self.worker.private_bytes()
            if self.device.kind == "cpu"
            else gpu_process_bytes(self.device, self.worker.pid)
        )


class Effects:
    """The lives of all residents."""

    def __init__(
        self,
        runtime: Runtime,
        store: ArtifactStore,
        ways: Ways,
        sizes: Measurements,
        settings: ResidencySettings,
        runtime_settings: RuntimeSettings,
        report: Callable[[Event], None],
    ) -> None:
        self._runtime = runtime
        self._store = store
        self._ways = ways
        self._sizes = sizes
        self._grace_s = settings.stop_grace_s
        self._free_timeout_s = settings.free_timeout_s
        self._settings = runtime_settings
        self._report = report
        self._lives: dict[int, _Life] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._freeing: set[asyncio.Task[None]] = set()

    def start(self, action: Start) -> None:
        """Load a version on a device, in a worker of its own."""
        life = _Life(action.device, self._ways.of(action.version, action.device.kind), action.is_awaited)
        self._lives[action.resident] = life
        self._run(self._live(action.resident, life))

    def stop(self, action: Stop) -> None:
        """End a resident's process."""
        life = self._lives[action.resident]
        life.look()
        log.info("residency.stop", **life.told, reason=action.reason)
        life.stopping = action.reason
        if life.worker is not None:
            self._run(life.worker.stop(self._grace_s))

    async def stop_all(self, reason: str) -> None:
        """End every process, and wait until all have gone."""
        for resident in list(self._lives):
            self.stop(Stop(resident, reason))
        while self._tasks:
            await asyncio.wait(self._tasks)
        for task in self._freeing:
            task.cancel()  # their processes have ended

    def worker(self, resident: int) -> Worker | None:
        """The worker of a resident that is loaded and alive."""
        life = self._lives.get(resident)
        return life.worker if life is not None and not life.has_ended else None

    def ended(self, resident: int) -> None:
        """Its process has ended. Told twice for a crash: by the lease that met it, and by the process' own end."""
        life = self._lives.get(resident)
        if life is None or life.has_ended:
            return
        life.has_ended = True
        reason = life.stopping or "crash"
        metrics.EVICTIONS.labels(**life.told, reason=reason).inc()
        log.info("residency.gone", **life.told, reason=reason)
        if life.device.kind == "cpu":  # the kernel has taken its pages back before it told of the end
            self._freed(resident)
        else:
            self._report(Exited(resident))
            self._run(self._free(resident, life), self._freeing)

    def measure(self) -> None:
        """Report what every worker takes now."""
        for resident, life in list(self._lives.items()):
            if life.worker is not None and life.stopping is None and not life.has_ended:
                life.look()
                self._report(Measured(resident, life.largest_bytes))

    def measured_bytes(self, device: Device) -> int:
        """What the workers on a device really take together."""
        return sum(life.taken_bytes for life in self._lives.values() if life.device.id == device.id)

    def holdings(self, device: Device) -> dict[int, int]:
        """The workers on a device by process id, and what each is thought to take; what one left behind is not ours."""
        here = (life for life in self._lives.values() if life.device.id == device.id)
        return {life.worker.pid: life.holds_bytes for life in here if life.worker is not None}

    def known(self) -> Known:
        """What a view of the engine needs besides: the manifests seen so far, and what each worker takes now."""
        warm = frozenset(resident for resident, life in self._lives.items() if life.is_warm)
        taken = {resident: life.taken_bytes for resident, life in self._lives.items()}
        ways = {resident: life.loading for resident, life in self._lives.items()}
        return Known(self._ways.manifests, taken, warm, ways)

    def outdated(self) -> list[int]:
        """Residents that nobody has told to end, and that would be loaded in another way by now."""
        return [
            resident
            for resident, life in self._lives.items()
            if life.stopping is None and not life.has_ended and self._is_outdated(life)
        ]

    def model(self, version: str) -> str:
        """The name of the model that a version belongs to; it has been loaded before."""
        return self._ways.manifests[version].name

    def _is_outdated(self, life: _Life) -> bool:
        now = self._ways.of(life.loading.manifest.digest, life.device.kind)
        return now.refusal is None and now.key != life.loading.key

    def _run(self, work: Coroutine[Any, Any, None], among: set[asyncio.Task[None]] | None = None) -> None:
        tasks = self._tasks if among is None else among
        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def _free(self, resident: int, life: _Life) -> None:
        """Wait until the driver shows the memory of a process free; in the end it counts as somebody else's.

        Not yet run on a machine that has a GPU.
        """
        until_s = time.monotonic() + self._free_timeout_s
        while (left := life.taken_bytes) > 0 and time.monotonic() < until_s:  # noqa: ASYNC110  (the driver tells nobody)
            await asyncio.sleep(_FREED_POLL_S)
        if left > 0:
            metrics.UNRETURNED.labels(life.device.id).inc()
            log.error("residency.memory_not_returned", **life.told, bytes=left, waited_s=self._free_timeout_s)
        self._freed(resident)

    def _freed(self, resident: int) -> None:
        del self._lives[resident]
        self._report(Gone(resident))

    async def _live(self, resident: int, life: _Life) -> None:
        """From the start of a process to its end."""
        try:
            if life.loading.refusal:
                raise life.loading.refusal
            life.worker = await self._runtime.spawn()
            if life.stopping is None:
                await self._load(resident, life, life.worker)
                await asyncio.shield(life.worker.exited)
        except WorkerDied as died:
            self._broke(resident, life, LoadFailed(f"The worker died while it loaded: {died}."), has_died=True)
        except VoxgateError as error:
            self._broke(resident, life, error)
        except Exception as exc:  # a fault of ours; without this its waiters would have it started for ever
            log.exception("residency.broke", **life.told)
            self._broke(resident, life, LoadFailed(f"The load broke: {type(exc).__name__}."))
        finally:
            if life.worker is not None:
                await life.worker.stop(self._grace_s)
            await self._learn_growth(life)
            self.ended(resident)

    async def _load(self, resident: int, life: _Life, worker: Worker) -> None:
        began_s = time.monotonic()
        expected = await self._sizes.size(life.loading)
        life.is_urgent = life.is_awaited and self._sizes.is_measured(life.loading)
        loaded = await self._loaded(resident, life, worker, expected)
        load_s = time.monotonic() - began_s
        taken = _taken(life, worker, loaded, expected)
        life.has_loaded = True
        if not life.is_urgent or life.device.kind != "cpu":  # there it shows when it is warm
            life.largest_bytes = taken.steady_bytes
        if not life.is_urgent:
            metrics.SIZE_RATIO.labels(life.device.id).observe(taken.steady_bytes / max(1, expected.steady_bytes))
        charged_bytes = self._sizes.loaded(life.loading, taken, load_s)
        metrics.LOADS.labels(**life.told, outcome="loaded").inc()
        metrics.LOAD_SECONDS.labels(life.told["model"], life.device.id).observe(load_s)
        way = {"engine": life.loading.engine, "precision": life.loading.precision}
        told = {**life.told, **way, "bytes": taken.steady_bytes, **loaded.stages_s}
        log.info("residency.loaded", **told, load_s=round(load_s, 3))
        self._report(Loaded(resident, charged_bytes))
        await self._sizes.save(life.loading)

    async def _loaded(self, resident: int, life: _Life, worker: Worker, expected: Size) -> HasLoaded:
        """Have the worker load, and end it when it runs beyond what it was thought to take and the headroom."""
        loading = asyncio.create_task(worker.load(self._command(life)))
        try:
            while not loading.done():
                await asyncio.wait({loading}, timeout=_LOADING_POLL_S)
                if not loading.done():
                    self._check_headroom(resident, life, worker, expected)
            return loading.result()
        finally:
            loading.cancel()

    def _check_headroom(self, resident: int, life: _Life, worker: Worker, expected: Size) -> None:
        device, taken = life.device, life.taken_bytes
        if taken <= expected.peak_bytes:
            return
        life.largest_bytes = max(life.largest_bytes, taken)
        self._report(Measured(resident, taken))
        beyond = self.measured_bytes(device) + self._shared_bytes(device) - device.budget_bytes
        if beyond > device.headroom_bytes:
            worker.kill()  # at once: it is still growing
            hint = f"It took {taken // MIB} MiB and was thought to take {expected.peak_bytes // MIB} MiB."
            raise DeviceMemoryExhausted(f"{hint} The headroom of {device.id} is used up; raise its budget.")

    def _shared_bytes(self, device: Device) -> int:
        return self._runtime.shared_bytes() if device.kind == "cpu" else 0

    def _command(self, life: _Life) -> Load:
        version = life.loading.manifest.digest
        return Load(
            version_dir=str(self._store.version_dir(version)),
            graph_dir=str(self._ways.graph_dir(life.loading)),
            precision=life.loading.precision,
            threads=self._settings.threads,
            device=life.device.id,
            engine=life.loading.engine,
            is_urgent=life.is_urgent,
        )

    def _broke(self, resident: int, life: _Life, error: VoxgateError, *, has_died: bool = False) -> None:
        outcome = "cancelled" if life.stopping else "failed"
        log.warning(f"residency.load_{outcome}", **life.told, error=error.message)
        metrics.LOADS.labels(**life.told, outcome=outcome).inc()
        self._report(LoadBroke(resident, error, has_died))

    async def _learn_growth(self, life: _Life) -> None:
        """What traffic made of it beyond its warm-up; or a load that did not end well, beyond what was thought."""
        thought = await self._sizes.size(life.loading)
        if life.has_loaded:
            life.look()
            if life.is_urgent:
                metrics.SIZE_RATIO.labels(life.device.id).observe(life.largest_bytes / max(1, thought.steady_bytes))
            is_whole = life.is_warm and life.device.kind == "cpu"  # a GPU is only looked at now and then
            self._sizes.lived(life.loading, life.size, is_whole=is_whole)
        elif life.largest_bytes > thought.peak_bytes:
            self._sizes.loaded(life.loading, Size(thought.steady_bytes, life.largest_bytes))
        else:
            return
        await self._sizes.save(life.loading)


def _taken(life: _Life, worker: Worker, loaded: HasLoaded, expected: Size) -> Size:
    """The size of what has just been loaded.

    On a CPU a run gives back what it took, and the next one takes it again: so the most of the warm-up counts, whose
    runs are the largest; where that is still to come, what is expected.
    """
    if life.device.kind == "cpu" and life.is_urgent:
        return expected
    if life.device.kind == "cpu":
        return Size(loaded.run_bytes, worker.peak_private_bytes)
    if (taken := life.taken_bytes) == 0:
        # A driver names processes as the host does, and a container may name them otherwise.
        log.warning("residency.unmeasured", **life.told, bytes=expected.steady_bytes)
        taken = expected.steady_bytes
    return Size(taken, taken)

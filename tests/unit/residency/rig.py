"""The residency manager over scripted workers, with all that is around it, for tests."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from model_store.artifacts.graphs import EngineName, Fit, GraphRecord
from model_store.artifacts.manifest import Manifest
from model_store.catalog.sql import SqlCatalog, open_catalog
from model_store.errors import VoxgateError
from model_store.residency.devices import Device
from model_store.residency.events import Demand
from model_store.residency.manager import Lease, ResidencyManager
from model_store.residency.settings import ResidencySettings
from model_store.runtime.messages import Load, Loaded, Result
from model_store.runtime.seam import Utterance, WorkerDied
from model_store.runtime.settings import RuntimeSettings
from tests.manifests import manifest

MIB = 2**20
DEMAND = Demand(1)
_PIDS = itertools.count(100)


class Driver:
    """A stand-in for NVML on a machine with one GPU: who holds how much of it, and whether it answers.

    A blind one does not know our processes, as in a container that numbers them otherwise.
    """

    def __init__(self, total_bytes: int, foreign_bytes: int = 0) -> None:
        self.total_bytes = total_bytes
        self.foreign_bytes = foreign_bytes
        self.processes: dict[int, int] = {}
        self.is_lost = False
        self.is_blind = False
        self.asked = 0
        self.is_asked = asyncio.Event()

    async def answered(self, times: int) -> None:
        """Returns when somebody has asked so often from now on."""
        until = self.asked + times
        while self.asked < until:
            self.is_asked.clear()
            await self.is_asked.wait()

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, stand_in in {
            "nvmlInit": lambda: None,
            "nvmlShutdown": lambda: None,
            "nvmlDeviceGetCount": lambda: 1,
            "nvmlDeviceGetHandleByIndex": self._handle,
            "nvmlDeviceGetName": lambda _: "a GPU",
            "nvmlDeviceGetCudaComputeCapability": lambda _: (9, 0),
            "nvmlSystemGetDriverVersion": lambda: "570.1",
            "nvmlDeviceGetMemoryInfo": lambda _: SimpleNamespace(total=self.total_bytes, free=self.free_bytes),
            "nvmlDeviceGetComputeRunningProcesses": self._running,
        }.items():
            monkeypatch.setattr(pynvml, name, stand_in)

    @property
    def free_bytes(self) -> int:
        return self.total_bytes - self.foreign_bytes - sum(self.processes.values())

    def _running(self, handle: int) -> list[SimpleNamespace]:
        self.asked += 1
        self.is_asked.set()
        ours = {} if self.is_blind else self.processes
        return [SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in [(1, self.foreign_bytes), *ours.items()]]

    def _handle(self, index: int) -> int:
        if self.is_lost:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
        return index


class Shelf:
    """The part of the artifact store that the manager asks."""

    def __init__(self, *manifests: Manifest) -> None:
        self.conversions: dict[str, GraphRecord] = {}
        self.optimizations: dict[tuple[str, Fit], GraphRecord] = {}
        self._manifests: dict[str, Manifest] = {}
        for each in manifests:
            self.add(each)

    def add(self, each: Manifest) -> None:
        self._manifests[each.digest] = each

    def manifest(self, digest: str) -> Manifest:
        return self._manifests[digest]

    def version_dir(self, digest: str) -> Path:
        return Path("/versions") / digest

    def graph_dir(self, digest: str, engine: EngineName = "paddle", fit: Fit | None = None) -> Path:
        return Path("/graphs") / digest / (engine if fit is None else f"{engine}-{fit.precision}")

    def converted(self, digest: str) -> GraphRecord | None:
        return self.conversions.get(digest)

    def optimized(self, digest: str, fit: Fit) -> GraphRecord | None:
        return self.optimizations.get((digest, fit))


class ScriptedWorker:
    """A worker that takes `bytes_taken` once loaded, and loads when its gate is open."""

    def __init__(self, runtime: "ScriptedRuntime") -> None:
        self.pid = next(_PIDS)
        self.exited: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.bytes_taken = runtime.bytes_taken
        self.loading_bytes = runtime.loading_bytes
        self.device = ""
        self.is_urgent = False
        self.is_warm = True
        self._runtime = runtime

    @property
    def peak_private_bytes(self) -> int:
        return max(self.bytes_taken, self.loading_bytes)

    @property
    def most_run_bytes(self) -> int:
        return self.bytes_taken

    async def load(self, command: Load) -> Loaded:
        opened = asyncio.ensure_future(self._runtime.gate.wait())
        either: set[asyncio.Future[Any]] = {opened, self.exited}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        opened.cancel()
        if self.exited.done():
            raise WorkerDied(self.exited.result())
        if self._runtime.deaths:
            self._runtime.deaths -= 1
            self.kill()
            raise WorkerDied(self.exited.result())
        if self._runtime.load_error:
            raise self._runtime.load_error
        if self._runtime.grows_to:
            self.bytes_taken = self._runtime.grows_to.pop(0)
            await self.exited  # it goes on until it is ended
        if command.device != "cpu" and self._runtime.driver:
            self._runtime.driver.processes[self.pid] = self.bytes_taken
        self.device, self.is_urgent = command.device, command.is_urgent
        return Loaded({}, self.bytes_taken)

    async def infer(self, batch: Sequence[Utterance]) -> list[Result]:
        return []

    async def stop(self, grace_s: float) -> None:
        self.kill()

    def kill(self) -> None:
        if not self.exited.done():
            self.exited.set_result("told to")
            if self._runtime.driver and not self._runtime.driver_holds:
                self._runtime.driver.processes.pop(self.pid, None)

    def private_bytes(self) -> int:
        return 0 if self.exited.done() else self.bytes_taken


class ScriptedRuntime:
    """Spawns scripted workers and keeps them."""

    def __init__(self) -> None:
        self.workers: list[ScriptedWorker] = []
        self.has_spawned = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.load_error: VoxgateError | None = None
        self.deaths = 0
        self.grows_to: list[int] = []
        self.bytes_taken = 10 * MIB
        self.loading_bytes = 0
        self.driver: Driver | None = None
        self.driver_holds = False

    async def start(self) -> None:
        """Nothing to start."""

    async def spawn(self) -> ScriptedWorker:
        self.workers.append(ScriptedWorker(self))
        self.has_spawned.set()
        return self.workers[-1]

    def shared_bytes(self) -> int:
        return 5 * MIB

    async def stop(self) -> None:
        """Nothing to stop."""


class Rig:
    """A manager with all that is around it."""

    def __init__(
        self,
        catalog: SqlCatalog,
        names: Sequence[str] = ("a", "b"),
        devices: tuple[Device, ...] = (Device("cpu", "cpu", "test", 1000 * MIB),),
        **settings: Any,
    ) -> None:
        self.runtime = ScriptedRuntime()
        self.catalog = catalog
        self.manifests = [manifest(name) for name in names]
        self.shelf = Shelf(*self.manifests)
        self.now_s = 0.0
        self.manager = ResidencyManager(
            self.runtime,
            devices,
            self.shelf,  # type: ignore[arg-type]
            catalog,
            ResidencySettings(**{"failure_backoff_s": 10.0} | settings),
            RuntimeSettings(precision="fp32"),
            clock=lambda: self.now_s,
        )

    @property
    def standing(self) -> dict[str, str]:
        """The phase of every resident, by the name of its model."""
        names = {each.digest: each.name for each in self.manifests}
        return {names[resident.version]: resident.phase.value for resident in self.manager.engine.ledgers["cpu"]}

    async def publish(self, each: Manifest) -> None:
        """Make a version known, which then takes its model's traffic."""
        self.manifests.append(each)
        self.shelf.add(each)
        await self.catalog.register(each)

    def lease(self, which: int = 0) -> contextlib.AbstractAsyncContextManager[Lease]:
        return self.manager.lease(self.manifests[which].digest, DEMAND)


@contextlib.asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[Rig]:
    """A rig whose manager has been started."""
    catalog = await open_catalog("sqlite+aiosqlite://")
    rig = Rig(catalog, **settings)
    for each in rig.manifests:
        await catalog.register(each)
    rig.manager.start()
    try:
        yield rig
    finally:
        await rig.manager.stop()
        await catalog.close()


async def use(rig: Rig, which: int = 0) -> bool:
    async with rig.lease(which) as lease:
        return lease.is_cold

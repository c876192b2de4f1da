"""The residency manager over scripted workers: what it starts, grants, gives back and remembers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from model_store.artifacts.manifest import ConformerShape, File, Manifest, Source
from model_store.catalog.sql import SqlCatalog, open_catalog
from model_store.errors import DeviceMemoryExhausted, LoadFailed, ModelUnavailable, ShuttingDown, VoxgateError
from model_store.residency import effects
from model_store.residency.devices import Device
from model_store.residency.events import Demand
from model_store.residency.manager import Lease, ResidencyManager
from model_store.residency.settings import ResidencySettings
from model_store.runtime.messages import Load, Loaded, Result
from model_store.runtime.seam import Utterance, WorkerDied
from model_store.runtime.settings import RuntimeSettings

MIB = 2**20
DEMAND = Demand(1)


def manifest(name: str) -> Manifest:
    encoder = ConformerShape(
        n_mels=80,
        size=8,
        heads=2,
        linear_units=16,
        blocks=1,
        subsampling="conv2d",
        positions="relative",
        activation="swish",
        conv_kernel=3,
        conv_norm="layer_norm",
        conv_norm_epsilon=1e-5,
        is_causal=False,
        norm_epsilon=1e-5,
    )
    return Manifest(
        name=name,
        kind="asr",
        language="zh",
        domain="general",
        sample_rate_hz=16_000,
        units=4,
        encoder=encoder,
        source=Source("test", {}),
        files={"weights.safetensors": File("0" * 64, 1000)},
    )


class Shelf:
    """The part of the artifact store that the manager asks."""

    def __init__(self, *manifests: Manifest) -> None:
        self._manifests = {each.digest: each for each in manifests}

    def manifest(self, digest: str) -> Manifest:
        return self._manifests[digest]

    def version_dir(self, digest: str) -> Path:
        return Path("/versions") / digest

    def graph_dir(self, digest: str) -> Path:
        return Path("/graphs") / digest


class ScriptedWorker:
    """A worker that takes `bytes_taken` once loaded, and loads when its gate is open."""

    def __init__(self, runtime: "ScriptedRuntime") -> None:
        self.pid = 0
        self.exited: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.bytes_taken = 10 * MIB
        self._runtime = runtime

    @property
    def peak_private_bytes(self) -> int:
        return self.bytes_taken

    async def load(self, command: Load) -> Loaded:
        opened = asyncio.ensure_future(self._runtime.gate.wait())
        await asyncio.wait({opened, self.exited}, return_when=asyncio.FIRST_COMPLETED)
        opened.cancel()
        if self.exited.done():
            raise WorkerDied(self.exited.result())
        if self._runtime.deaths:
            self._runtime.deaths -= 1
            self.kill()
            raise WorkerDied(self.exited.result())
        if self._runtime.load_error:
            raise self._runtime.load_error
        return Loaded({})

    async def infer(self, batch: Sequence[Utterance]) -> list[Result]:
        return []

    async def stop(self, grace_s: float) -> None:
        self.kill()

    def kill(self) -> None:
        if not self.exited.done():
            self.exited.set_result("told to")

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
        self.now_s = 0.0
        self.manager = ResidencyManager(
            self.runtime,
            devices,
            Shelf(*self.manifests),  # type: ignore[arg-type]
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


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with running() as rig:
        yield rig


async def use(rig: Rig, which: int = 0) -> bool:
    async with rig.lease(which) as lease:
        return lease.is_cold


async def test_lease_many_at_once_on_one_cold_version_start_one_worker(rig: Rig) -> None:
    were_cold = await asyncio.gather(*(use(rig) for _ in range(100)))
    assert any(were_cold)
    assert len(rig.runtime.workers) == 1
    assert not await use(rig)


async def test_lease_given_up_while_waiting_is_granted_to_nobody(rig: Rig) -> None:
    rig.runtime.gate.clear()
    waiting = asyncio.create_task(use(rig))
    await rig.runtime.has_spawned.wait()
    waiting.cancel()
    await asyncio.wait({waiting})
    assert rig.manager.engine.waiting == 0
    rig.runtime.gate.set()
    assert isinstance(await use(rig), bool)
    (resident,) = rig.manager.engine.ledgers["cpu"]
    assert resident.leases == 0


async def test_lease_load_fails_tells_why_and_leaves_the_version_alone_for_a_while(rig: Rig) -> None:
    rig.runtime.load_error = LoadFailed("no such operator")
    with pytest.raises(LoadFailed, match="no such operator"):
        await use(rig)
    with pytest.raises(ModelUnavailable, match="left alone"):
        await use(rig)
    assert rig.manager.engine.ledgers["cpu"].charged_bytes == 5 * MIB  # the shared line alone
    rig.now_s, rig.runtime.load_error = 10.0, None
    assert await use(rig)


async def test_lease_worker_dies_in_use_the_next_lease_has_a_new_one(rig: Rig) -> None:
    async with rig.lease() as lease:
        rig.runtime.workers[0].kill()
        first = lease.worker
    async with rig.lease() as lease:
        assert lease.worker is not first
        assert lease.is_cold
    assert len(rig.runtime.workers) == 2


async def test_lease_measured_size_takes_the_place_of_the_prediction(rig: Rig) -> None:
    await use(rig)
    measured = await rig.catalog.measurement(rig.manifests[0].digest, "cpu", "fp32")
    assert measured is not None
    assert measured.steady_bytes == 10 * MIB
    assert rig.manager.engine.ledgers["cpu"].charged_bytes == 15 * MIB


async def test_stop_remembers_what_traffic_made_of_a_worker(rig: Rig) -> None:
    await use(rig)
    rig.runtime.workers[0].bytes_taken = 30 * MIB
    rig.manager.measure()
    await rig.manager.stop()
    measured = await rig.catalog.measurement(rig.manifests[0].digest, "cpu", "fp32")
    assert measured is not None
    assert measured.steady_bytes == 30 * MIB


async def test_stop_refuses_who_waits(rig: Rig) -> None:
    rig.runtime.gate.clear()
    waiting = asyncio.create_task(use(rig))
    await rig.runtime.has_spawned.wait()
    await rig.manager.stop()
    with pytest.raises(ShuttingDown):
        await waiting
    with pytest.raises(ShuttingDown):
        await use(rig)


async def test_lease_worker_dies_while_it_loads_another_takes_its_place(rig: Rig) -> None:
    rig.runtime.deaths = 1
    assert await use(rig)
    assert len(rig.runtime.workers) == 2


async def test_lease_worker_dies_twice_while_it_loads_fails(rig: Rig) -> None:
    rig.runtime.deaths = 2
    with pytest.raises(LoadFailed, match="died while it loaded"):
        await use(rig)


async def test_lease_memory_runs_out_twice_tells_what_was_tried(rig: Rig) -> None:
    rig.runtime.load_error = DeviceMemoryExhausted("out of memory")
    with pytest.raises(DeviceMemoryExhausted) as caught:
        await use(rig)
    assert len(caught.value.details["tried"]) == 2
    assert len(rig.runtime.workers) == 2


async def test_lease_given_up_by_all_cancels_the_load_and_is_no_failure(rig: Rig) -> None:
    rig.runtime.gate.clear()
    waiting = asyncio.create_task(use(rig))
    await rig.runtime.has_spawned.wait()
    waiting.cancel()
    await asyncio.wait({waiting})
    await rig.runtime.workers[0].exited
    rig.runtime.gate.set()
    assert await use(rig)
    assert not rig.manager.engine.breakers.states(0.0)


async def test_lease_version_goes_by_itself_when_its_keep_alive_has_run_out() -> None:
    async with running(keep_alive_s=0.0, linger_s=0.0) as rig:
        await use(rig)
        assert await rig.runtime.workers[0].exited == "told to"


async def test_prefetch_loads_beside_what_is_there_and_the_first_lease_is_warm(rig: Rig) -> None:
    await rig.manager.prefetch(rig.manifests[0].digest)
    await rig.runtime.has_spawned.wait()
    async with rig.lease() as lease:
        assert lease.worker is rig.runtime.workers[0]
    assert not await use(rig)
    assert rig.standing == {"a": "ready"}


async def test_start_preloads_the_models_of_the_settings() -> None:
    async with running(preload=("b", "nobody")) as rig:
        await rig.runtime.has_spawned.wait()
        assert rig.standing.keys() == {"b"}


async def test_gpu_bytes_of_an_ended_worker_count_until_the_driver_shows_them_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken = 300 * MIB
    asked = 0
    is_asked_again = asyncio.Event()

    def shown(device: Device, pid: int) -> int:
        """The driver's figure of the first worker, who has ended."""
        nonlocal asked
        asked += 1
        if asked > 3:
            is_asked_again.set()
        return taken

    monkeypatch.setattr(effects, "gpu_process_bytes", shown)
    monkeypatch.setattr(effects, "_FREED_POLL_S", 0.001)
    devices = (Device("gpu:0", "gpu", "test", 500 * MIB), Device("cpu", "cpu", "test", 10 * MIB))
    async with running(devices=devices, linger_s=0.0) as rig:
        await use(rig)
        waiting = asyncio.create_task(use(rig, 1))
        await rig.runtime.workers[0].exited
        asked = 0
        is_asked_again.clear()
        await is_asked_again.wait()
        assert len(rig.runtime.workers) == 1
        taken = 0
        assert await waiting
        assert len(rig.runtime.workers) == 2

"""A GPU that others use too, that gives memory back late or never, that goes and comes back.

The driver is stood in for at its Python library. None of this has been run on a machine that has a GPU yet.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from prometheus_client import REGISTRY

from model_store.errors import DeviceMemoryExhausted, ModelUnavailable
from model_store.residency import effects
from model_store.residency.devices import Device, discover
from model_store.residency.settings import ResidencySettings
from tests.unit.residency.rig import MIB, Driver, Rig, running, use

TOTAL = 2000 * MIB
HEADROOM = 100 * MIB
TAKEN = 700 * MIB


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    driver = Driver(TOTAL)
    driver.install(monkeypatch)
    monkeypatch.setattr(effects, "_FREED_POLL_S", 0.001)
    return driver


@contextlib.asynccontextmanager
async def rig_with(driver: Driver, **settings: Any) -> AsyncIterator[Rig]:
    said = {"gpu_headroom_bytes": HEADROOM, "cpu_budget_bytes": 1000 * MIB, "linger_s": 0.0} | settings
    devices = discover(ResidencySettings(**said))
    async with running(devices=devices, **said) as rig:
        rig.runtime.driver, rig.runtime.bytes_taken = driver, TAKEN
        yield rig


def budget(rig: Rig) -> int:
    return rig.manager.engine.ledgers["gpu:0"].device.budget_bytes


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


# Others on the same GPU -----------------------------------------------------------------------------------------------


async def test_gpu_load_is_charged_what_the_driver_shows_for_its_process(driver: Driver) -> None:
    async with rig_with(driver) as rig:
        await use(rig)
        assert rig.manager.engine.ledgers["gpu:0"].charged_bytes == TAKEN
        assert rig.runtime.workers[0].device == "gpu:0"


async def test_gpu_budget_is_what_others_leave_and_our_own_do_not_count(driver: Driver) -> None:
    async with rig_with(driver) as rig:
        await use(rig)
        rig.manager.measure()
        assert budget(rig) == TOTAL - HEADROOM
        driver.foreign_bytes = 500 * MIB
        rig.manager.measure()
        assert budget(rig) == TOTAL - HEADROOM - 500 * MIB
        assert metric("voxgate_device_memory_bytes", device="gpu:0", kind="others") == 500 * MIB
        driver.foreign_bytes = 0
        rig.manager.measure()
        assert budget(rig) == TOTAL - HEADROOM


async def test_gpu_others_take_memory_an_idle_model_goes(driver: Driver) -> None:
    async with rig_with(driver) as rig:
        await use(rig)
        driver.foreign_bytes = TOTAL - TAKEN
        rig.manager.measure()
        assert await rig.runtime.workers[0].exited == "told to"


async def test_gpu_is_asked_again_before_a_load_is_admitted(driver: Driver) -> None:
    async with rig_with(driver, max_wait_s=0.001, cpu_budget_bytes=1) as rig:
        driver.foreign_bytes = TOTAL - HEADROOM  # and no second has passed
        waiting = asyncio.create_task(use(rig))
        await driver.answered(1)
        rig.now_s = 1.0
        with pytest.raises(DeviceMemoryExhausted):
            await waiting
        assert not rig.runtime.workers


async def test_gpu_driver_that_does_not_know_our_processes_leaves_the_prediction_and_no_double_count(
    driver: Driver,
) -> None:
    driver.is_blind = True
    async with rig_with(driver) as rig:
        await use(rig)
        charged = rig.manager.engine.ledgers["gpu:0"].charged_bytes
        assert charged > 600 * MIB
        rig.manager.measure()
        assert budget(rig) == TOTAL - HEADROOM - TAKEN + charged
        assert not rig.runtime.workers[0].exited.done()
        async with rig.lease():
            rig.runtime.workers[0].kill()
        await use(rig)  # a load that was measured before is as blind
        assert rig.runtime.workers[1].is_urgent
        rig.manager.measure()
        assert budget(rig) == TOTAL - HEADROOM - TAKEN + charged


async def test_gpu_lost_a_prefetch_does_not_go_to_the_cpu(driver: Driver) -> None:
    async with rig_with(driver) as rig:
        driver.is_lost = True
        rig.manager.measure()
        await rig.manager.prefetch(rig.manifests[0].digest)
        assert rig.standing == {}


# Memory that comes late -----------------------------------------------------------------------------------------------


async def test_gpu_bytes_of_an_ended_worker_count_until_the_driver_shows_them_free(driver: Driver) -> None:
    driver.foreign_bytes = 900 * MIB  # room for one
    async with rig_with(driver) as rig:
        await use(rig)
        rig.runtime.driver_holds = True
        waiting = asyncio.create_task(use(rig, 1))
        await rig.runtime.workers[0].exited
        await driver.answered(5)
        assert len(rig.runtime.workers) == 1
        driver.processes.clear()
        assert await waiting
        assert len(rig.runtime.workers) == 2


async def test_gpu_memory_that_never_comes_back_is_told_and_nobody_is_let_into_it(driver: Driver) -> None:
    before = metric("voxgate_device_memory_unreturned_total", device="gpu:0")
    driver.foreign_bytes = 900 * MIB  # room for one
    async with rig_with(driver, free_timeout_s=0.02, max_wait_s=0.2) as rig:
        await use(rig)
        rig.runtime.driver_holds = True
        waiting = asyncio.create_task(use(rig, 1))
        await rig.runtime.workers[0].exited
        while metric("voxgate_device_memory_unreturned_total", device="gpu:0") == before:
            await driver.answered(1)
        assert budget(rig) == TOTAL - HEADROOM - driver.foreign_bytes - TAKEN
        rig.now_s = 1.0
        with pytest.raises(DeviceMemoryExhausted):  # and not from the CPU, which has room
            await waiting
        assert len(rig.runtime.workers) == 1


# A GPU that is lost ---------------------------------------------------------------------------------------------------


async def test_gpu_lost_its_models_are_refused_unless_the_cpu_may_serve_them(driver: Driver) -> None:
    async with rig_with(driver) as rig:
        await use(rig)
        driver.is_lost = True
        rig.manager.measure()
        assert metric("voxgate_device_lost", device="gpu:0") == 1
        with pytest.raises(ModelUnavailable, match="may_use_cpu"):
            await use(rig)
        assert await rig.runtime.workers[0].exited == "told to"


async def test_gpu_lost_the_cpu_stands_in_visibly_and_goes_when_the_gpu_is_back(driver: Driver) -> None:
    async with rig_with(driver, may_use_cpu=True) as rig:
        async with rig.lease() as lease:
            assert (lease.device, lease.is_degraded) == ("gpu:0", False)
        driver.is_lost = True
        rig.manager.measure()
        before = metric("voxgate_degraded_leases_total", model="a")
        async with rig.lease() as lease:
            assert (lease.device, lease.is_degraded) == ("cpu", True)
            assert metric("voxgate_degraded_leases_total", model="a") == before + 1
            driver.is_lost = False
            for _ in range(4):
                rig.manager.measure()
            assert rig.manager.engine.ledgers["gpu:0"].is_lost  # it might go again
            rig.manager.measure()
            assert not rig.manager.engine.ledgers["gpu:0"].is_lost
            assert not rig.runtime.workers[1].exited.done()  # it has a lease
        async with rig.lease() as lease:
            assert (lease.device, lease.is_degraded) == ("gpu:0", False)
        assert await rig.runtime.workers[1].exited == "told to"
        assert metric("voxgate_device_lost", device="gpu:0") == 0


async def test_gpu_lost_while_a_model_loads_the_load_moves_and_the_version_is_not_blamed(driver: Driver) -> None:
    async with rig_with(driver, may_use_cpu=True) as rig:
        rig.runtime.gate.clear()
        waiting = asyncio.create_task(use(rig))
        await rig.runtime.has_spawned.wait()
        driver.is_lost = True
        rig.runtime.workers[0].kill()  # by its CUDA error, before the driver was asked again
        rig.runtime.gate.set()
        assert await waiting
        assert rig.runtime.workers[1].device == "cpu"
        assert not rig.manager.engine.breakers.states(0.0)


async def test_machine_without_a_gpu_serves_from_its_cpu_and_calls_that_no_degradation() -> None:
    async with running(devices=(Device("cpu", "cpu", "test", 1000 * MIB),)) as rig, rig.lease() as lease:
        assert (lease.device, lease.is_degraded) == ("cpu", False)

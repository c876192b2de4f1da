"""The residency manager over scripted workers: what it starts, grants, gives back and remembers."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from model_store.errors import DeviceMemoryExhausted, LoadFailed, ModelUnavailable, ShuttingDown
from model_store.residency import effects
from model_store.residency.devices import Device
from tests.unit.residency.rig import MIB, Rig, running, use


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with running() as rig:
        yield rig


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


async def test_lease_is_urgent_where_what_a_warm_predictor_takes_is_known(rig: Rig) -> None:
    async with rig.lease():
        rig.runtime.workers[0].kill()
    assert await use(rig)
    assert [worker.is_urgent for worker in rig.runtime.workers] == [False, True]
    assert rig.manager.engine.ledgers["cpu"].charged_bytes == 15 * MIB


async def test_prefetch_is_never_urgent(rig: Rig) -> None:
    async with rig.lease():
        rig.runtime.workers[0].kill()
    rig.runtime.has_spawned.clear()
    await rig.manager.prefetch(rig.manifests[0].digest)
    await rig.runtime.has_spawned.wait()
    await use(rig)
    assert not rig.runtime.workers[1].is_urgent


async def test_start_preloads_the_models_of_the_settings() -> None:
    async with running(preload=("b", "nobody")) as rig:
        await rig.runtime.has_spawned.wait()
        assert rig.standing.keys() == {"b"}


async def test_load_that_runs_beyond_the_headroom_is_ended_and_tried_again_with_more_room() -> None:
    device = Device("cpu", "cpu", "test", 400 * MIB, 50 * MIB)
    async with running(devices=(device,)) as rig:
        await use(rig)
        rig.runtime.grows_to = [460 * MIB]
        assert await use(rig, 1)
        assert await rig.runtime.workers[1].exited == "told to"
        assert len(rig.runtime.workers) == 3
        learned = await rig.catalog.measurement(rig.manifests[1].digest, "cpu", "fp32")
        assert learned is not None
        assert learned.peak_bytes == 460 * MIB


async def test_load_that_runs_into_the_headroom_is_let_be(monkeypatch: pytest.MonkeyPatch) -> None:
    checked = asyncio.Event()
    check = effects.Effects._check_headroom

    def checking(*what: Any) -> None:
        check(*what)
        checked.set()

    monkeypatch.setattr(effects.Effects, "_check_headroom", checking)
    async with running(devices=(Device("cpu", "cpu", "test", 400 * MIB, 50 * MIB),)) as rig:
        rig.runtime.grows_to = [440 * MIB]
        waiting = asyncio.create_task(use(rig))
        await checked.wait()
        assert not rig.runtime.workers[0].exited.done()
        assert rig.manager.engine.ledgers["cpu"].charged_bytes == 445 * MIB
        waiting.cancel()


async def test_load_that_is_cancelled_half_way_teaches_nothing(rig: Rig) -> None:
    rig.runtime.grows_to = [20 * MIB]
    waiting = asyncio.create_task(use(rig))
    await rig.runtime.has_spawned.wait()
    rig.manager.measure()
    waiting.cancel()
    await rig.runtime.workers[0].exited
    assert await rig.catalog.measurement(rig.manifests[0].digest, "cpu", "fp32") is None


async def test_stop_of_warm_workers_has_the_next_charged_the_mean_of_what_they_took_and_room_left_for_what_differs(
    rig: Rig,
) -> None:
    async with rig.lease():
        rig.runtime.workers[0].bytes_taken = 30 * MIB
        rig.manager.measure()
        rig.runtime.workers[0].kill()
    async with rig.lease():
        rig.runtime.workers[1].kill()
    await rig.manager.stop()
    measured = await rig.catalog.measurement(rig.manifests[0].digest, "cpu", "fp32")
    assert measured is not None
    assert (measured.steady_bytes, measured.peak_bytes) == (20 * MIB, 25 * MIB)
    rig.manager.measure()
    assert 0 < rig.manager.engine.ledgers["cpu"].growth_bytes < 20 * MIB


async def test_stop_of_a_warm_worker_that_took_more_while_it_loaded_leaves_the_peak_of_its_load_as_it_is(
    rig: Rig,
) -> None:
    rig.runtime.loading_bytes = 50 * MIB
    for number in range(2):
        async with rig.lease():
            rig.runtime.workers[number].kill()
    await rig.manager.stop()
    measured = await rig.catalog.measurement(rig.manifests[0].digest, "cpu", "fp32")
    assert measured is not None
    assert (measured.steady_bytes, measured.peak_bytes) == (10 * MIB, 50 * MIB)

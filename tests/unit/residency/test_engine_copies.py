"""A version that is crowded sits on several devices: when a copy comes, whose room it takes, who gets which lease."""

import asyncio

import pytest

from model_store.residency.devices import Device
from model_store.residency.engine import Engine
from model_store.residency.events import (
    Demand,
    Gone,
    Grant,
    Loaded,
    ModelRules,
    Prefetch,
    Priority,
    Released,
    Start,
    Stop,
)
from model_store.residency.ledger import Phase
from tests.bench.residency.drills import HotModel, RandomOperations
from tests.unit.residency.engines import GPUS, LONG_QUEUE, crowd, engine, handle, load, sizes, two, wanted
from tests.unit.residency.rig import MIB, Rig, running

CPU = Device("cpu", "cpu", "", 1000)


# When a copy comes ----------------------------------------------------------------------------------------------------


def test_copy_of_a_crowded_version_starts_on_another_device_when_that_went_on_for_a_while() -> None:
    it = engine(*GPUS[:2], linger_s=2.0)
    load(it, 1, "hot")
    assert crowd(it, "hot", 0.0, 9.0) == []
    assert crowd(it, "hot", 10.0, 10.0) == [Start(1, "hot", GPUS[1])]
    assert crowd(it, "hot", 11.0, 60.0) == []  # one at a time
    handle(it, Loaded(1, 40), now_s=61.0)
    assert it.predictors("hot") == 2


@pytest.mark.parametrize(
    ("queue", "deadline_s", "is_crowded"), [(8, None, False), (9, None, True), (1, 1e6, False), (1, 0.0, True)]
)
def test_copy_is_due_when_more_than_a_batch_waits_or_something_is_late(
    queue: int, deadline_s: float | None, is_crowded: bool
) -> None:
    it = engine(*GPUS[:2], linger_s=2.0)
    load(it, 1, "hot")
    assert bool(crowd(it, "hot", 0.0, 10.0, queue=queue, deadline_s=deadline_s)) == is_crowded


def test_copy_demand_that_fell_meanwhile_counts_anew() -> None:
    it = engine(*GPUS[:2], linger_s=2.0)
    load(it, 1, "hot")
    crowd(it, "hot", 0.0, 8.0)
    crowd(it, "hot", 9.0, 9.0, queue=1)
    assert crowd(it, "hot", 10.0, 19.0) == []
    assert len(crowd(it, "hot", 20.0, 20.0)) == 1


def test_copy_rushes_with_rest_between_them_are_no_lasting_demand() -> None:
    it = engine(*GPUS[:2], linger_s=2.0)
    load(it, 1, "hot")
    assert [crowd(it, "hot", second, second) for second in (0.0, 5.0, 10.0, 15.0)] == [[], [], [], []]


def test_copy_more_devices_take_more_demand_and_more_time() -> None:
    it = engine(*GPUS, linger_s=2.0, max_copies=3)
    load(it, 1, "hot")
    crowd(it, "hot", 0.0, 10.0)
    handle(it, Loaded(1, 40), wanted(2, "hot"), now_s=10.0)  # a batch for the first, and the rest for the second
    assert crowd(it, "hot", 10.0, 40.0, queue=16) == []
    assert crowd(it, "hot", 41.0, 50.0, queue=17) == []
    assert crowd(it, "hot", 51.0, 51.0, queue=17) == [Start(2, "hot", GPUS[2])]


@pytest.mark.parametrize("devices", [(CPU,), (GPUS[0],), (GPUS[0], CPU)])
def test_copy_machine_with_one_device_of_a_kind_has_none(devices: tuple[Device, ...]) -> None:
    it = engine(*devices, linger_s=2.0)
    load(it, 1, "hot")
    assert crowd(it, "hot", 0.0, 100.0) == []


def test_copy_setting_of_one_device_has_none() -> None:
    it = engine(*GPUS, linger_s=2.0, max_copies=1)
    load(it, 1, "hot")
    assert crowd(it, "hot", 0.0, 100.0) == []


def test_copy_leaves_a_load_to_others_and_waits_behind_who_wants_room() -> None:
    it = engine(*GPUS[:2], linger_s=2.0, max_loads=2, turn_s=1e6)
    load(it, 1, "hot")
    handle(it, Prefetch("b", sizes(10)))
    assert crowd(it, "hot", 0.0, 20.0) == []  # b loads
    handle(it, Loaded(1, 10), wanted(2, "b", 10), wanted(3, "b", 10), now_s=20.0)
    handle(it, wanted(4, "big", 100), now_s=20.0)
    assert crowd(it, "hot", 21.0, 40.0) == []


# Whose room it may have -----------------------------------------------------------------------------------------------


def beside(**more: object) -> tuple[Engine, int]:
    """`hot` on one GPU, and on the other somebody whose room a copy would need."""
    said = {key: more.pop(key) for key in ("tenant_guarantees_bytes", "min_residency_s") if key in more}
    it = engine(*GPUS[:2], **({"linger_s": 2.0} | said))
    load(it, 1, "hot", 80)
    return it, load(it, 2, "b", 80, **more)  # type: ignore[arg-type]


def test_copy_takes_the_room_of_who_is_idle_and_starts_when_it_has_gone() -> None:
    it, other = beside()
    assert crowd(it, "hot", 10.0, 20.0, size=80) == [Stop(other, "room")]
    assert crowd(it, "hot", 21.0, 22.0, size=80) == []
    handle(it, Gone(other), now_s=22.0)
    assert crowd(it, "hot", 23.0, 23.0, size=80) == [Start(2, "hot", GPUS[1])]


def test_copy_has_nobody_else_go_while_the_room_that_it_asked_for_comes_back() -> None:
    it = engine(*GPUS, linger_s=2.0)
    load(it, 1, "hot", 80)
    others = [load(it, waiter, version, 80) for waiter, version in ((2, "b"), (3, "c"))]
    assert crowd(it, "hot", 10.0, 60.0, size=80) == [Stop(others[0], "room")]


@pytest.mark.parametrize(
    "more",
    [
        {"rules": ModelRules(is_pinned=True)},
        {"rules": ModelRules(priority=Priority.INTERACTIVE)},
        {"tenant": "acme", "tenant_guarantees_bytes": {"acme": 80}},
        {"min_residency_s": 1000.0},
    ],
)
def test_copy_spares_who_is_pinned_guaranteed_of_a_higher_class_or_new(more: dict[str, object]) -> None:
    it, _ = beside(**more)
    assert crowd(it, "hot", 10.0, 100.0, size=80, tenant="acme") == []


def test_copy_spares_who_has_been_used_since_its_version_was_crowded() -> None:
    it, other = beside()
    crowd(it, "hot", 10.0, 19.0, size=80)
    handle(it, wanted(3, "b"), Released(other), now_s=19.0)
    assert crowd(it, "hot", 20.0, 60.0, size=80) == []


def test_copy_spares_who_was_used_less_than_ten_loads_ago() -> None:
    it = engine(*GPUS[:2], linger_s=2.0)
    load(it, 1, "hot", 80)
    handle(it, wanted(2, "slow", 80), now_s=0.0)
    handle(it, Loaded(1, 80), Released(1), now_s=5.0)  # it took 5 s
    assert crowd(it, "hot", 10.0, 54.0, size=80) == []
    assert crowd(it, "hot", 55.0, 55.0, size=80) == [Stop(1, "room")]


def test_copy_spares_who_is_worth_more_by_the_policy_in_force() -> None:
    it = engine(*GPUS[:2], linger_s=2.0)
    load(it, 1, "hot", 80)
    other = load(it, 2, "b", 80)
    worths = {"hot": 1.0, "b": 2.0}
    it._eviction._policy.worth = lambda resident: worths[resident.version]  # type: ignore[method-assign]
    assert crowd(it, "hot", 10.0, 30.0, size=80) == []
    worths["b"] = 0.5
    assert crowd(it, "hot", 31.0, 31.0, size=80) == [Stop(other, "room")]


# Who gets which lease -------------------------------------------------------------------------------------------------


def test_copy_leases_go_where_there_are_fewest_and_then_to_the_first_device() -> None:
    it = two()
    grants = handle(it, *(wanted(waiter, "hot") for waiter in range(4)), now_s=20.0)
    assert [grant.resident for grant in grants if isinstance(grant, Grant)] == [0, 1, 0, 1]
    handle(it, Released(1), now_s=20.0)
    assert handle(it, wanted(4, "hot"), now_s=20.0) == [Grant(4, 1, is_cold=False)]


def test_copy_while_it_loads_nobody_waits_for_it() -> None:
    it = engine(*GPUS[:2], linger_s=2.0)
    load(it, 1, "hot")
    crowd(it, "hot", 0.0, 10.0)
    grants = handle(it, *(wanted(waiter, "hot") for waiter in range(3)), now_s=11.0)
    assert [grant.resident for grant in grants if isinstance(grant, Grant)] == [0, 0, 0]
    assert it.waiting == 0


# All together ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["lru", "cost"])
@pytest.mark.parametrize("has_guarantees", [False, True])
def test_bar_3_random_operations_with_copies_and_lost_devices_break_no_promise(
    policy: str, has_guarantees: bool
) -> None:
    drill = RandomOperations(7, policy, has_guarantees=has_guarantees, max_copies=3)
    it = drill.run(15_000)
    assert it.engine.waiting == 0
    assert not it.requests
    assert drill.simulator.copies > 20
    assert drill.simulator.heirs > 2
    assert {"room", "idle", "lost"} <= it.stops.keys()


def test_hot_model_on_two_devices_is_served_twice_as_fast() -> None:
    alone, copied = HotModel(2, 1, segments_per_s=100.0), HotModel(2, 2, segments_per_s=100.0)
    for it in (alone, copied):
        it.run(60.0)
    assert alone.simulator.started == ["hot"]
    assert copied.simulator.started == ["hot", "hot"]
    assert copied.per_s(30.0, 60.0) >= 1.9 * alone.per_s(30.0, 60.0)
    assert copied.median_s(40.0) <= 0.6 * alone.median_s(40.0)


async def test_manager_gives_leases_on_both_predictors_of_a_version() -> None:
    """Two devices of one kind, as two GPUs are, but measured without a driver."""
    devices = tuple(Device(name, "cpu", "test", 1000 * MIB) for name in ("cpu", "cpu:1"))
    async with running(devices=devices, copies_after_s=5.0, linger_s=10.0) as rig:
        for now_s in (0.0, 0.0, 5.0):  # the first one loads it
            await crowded(rig, now_s)
        while rig.manager.engine.predictors(rig.manifests[0].digest) < 2:  # noqa: ASYNC110  (it tells nobody)
            await asyncio.sleep(0)
        async with rig.lease() as first, rig.lease() as second:
            assert [first.device, second.device] == ["cpu", "cpu:1"]
            assert first.worker is not second.worker
        view = rig.manager.look()
        assert [(resident.device, resident.phase) for resident in view.residents] == [
            ("cpu", Phase.READY),
            ("cpu:1", Phase.READY),
        ]


async def crowded(rig: Rig, now_s: float) -> None:
    """A lease at that time, while a long queue waits."""
    rig.now_s = now_s
    async with rig.manager.lease(rig.manifests[0].digest, Demand(LONG_QUEUE)):
        pass

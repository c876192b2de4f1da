"""The copies of a version that was crowded: when they go, and what they do when something fails."""

import math

import pytest

from model_store.errors import DeviceMemoryExhausted, LoadFailed
from model_store.residency.copies import Copies
from model_store.residency.events import (
    Budget,
    Gone,
    Grant,
    LoadBroke,
    Loaded,
    Measured,
    ModelRules,
    Priority,
    Released,
    Start,
    Stop,
    Tick,
)
from model_store.residency.ledger import Phase, Resident
from model_store.residency.settings import ResidencySettings
from tests.unit.residency.engines import GPUS, crowd, engine, handle, load, phases, two, wanted

# When it goes ---------------------------------------------------------------------------------------------------------


def test_copy_goes_when_demand_has_fallen_and_the_versions_own_stays() -> None:
    it = two()
    assert it.wakes_at_s == 20.0
    crowd(it, "hot", 11.0, 19.0, queue=1)  # the first device does it all
    assert handle(it, Tick(), now_s=20.0) == [Stop(1, "idle")]
    assert handle(it, Gone(1), Tick(), now_s=1000.0) == []
    assert it.wakes_at_s == math.inf
    assert it.predictors("hot") == 1


def test_copy_goes_before_an_older_resident_when_others_need_the_room() -> None:
    it = engine(*GPUS[:2], linger_s=2.0)
    load(it, 1, "hot", 60)
    load(it, 2, "b", 30)
    crowd(it, "hot", 10.0, 20.0, size=60)
    handle(it, Loaded(2, 60), now_s=20.0)  # beside b, or alone: the other GPU has hot itself
    assert handle(it, wanted(3, "c", 60), now_s=30.0) == [Stop(2, "room")]


def test_copy_in_use_finishes_what_it_has_and_makes_room_at_once_though_turns_are_long() -> None:
    it = two(80, turn_s=1e6)
    handle(it, wanted(1, "hot", 80), wanted(2, "hot", 80), now_s=11.0)
    assert handle(it, wanted(3, "c", 80), now_s=11.0) == []
    assert phases(it) == {0: "ready", 1: "draining"}
    assert handle(it, wanted(4, "hot", 80), now_s=12.0) == [Grant(4, 0, is_cold=False)]
    assert handle(it, Released(1), now_s=13.0) == [Stop(1, "room")]
    assert [action.version for action in handle(it, Gone(1), now_s=13.0) if isinstance(action, Start)] == ["c"]


def test_copy_still_loading_makes_room_for_a_newcomer() -> None:
    it = engine(*GPUS[:2], linger_s=2.0)
    load(it, 1, "hot", 80)
    crowd(it, "hot", 0.0, 10.0, size=80)
    assert handle(it, wanted(2, "c", 80), now_s=11.0) == [Stop(1, "room")]


@pytest.mark.parametrize("rules", [ModelRules(is_pinned=True), ModelRules(priority=Priority.INTERACTIVE)])
def test_copy_has_no_part_in_what_protects_its_version(rules: ModelRules) -> None:
    it = two(80, rules=rules, min_residency_s=1e6)
    assert handle(it, wanted(3, "c", 80), now_s=11.0) == [Stop(1, "room")]
    assert phases(it) == {0: "ready", 1: "stopping"}


def test_copy_is_not_covered_by_a_tenants_guarantee() -> None:
    it = engine(*GPUS[:2], linger_s=2.0, tenant_guarantees_bytes={"acme": 80})
    load(it, 1, "hot", 80, tenant="acme")
    crowd(it, "hot", 0.0, 10.0, size=80, tenant="acme")
    handle(it, Loaded(1, 80), now_s=10.0)
    grants = handle(it, *(wanted(waiter, "hot", 80, tenant="acme") for waiter in (2, 3)), now_s=10.0)
    assert len(grants) == 2
    handle(it, Released(0), Released(1), now_s=10.0)
    assert handle(it, wanted(4, "c", 80, tenant="bolt"), now_s=100.0) == [Stop(1, "room")]


def test_copy_repays_a_deficit_first() -> None:
    it = engine(*GPUS[:2], linger_s=2.0)
    load(it, 1, "hot", 60)
    other = load(it, 2, "b", 30)
    crowd(it, "hot", 10.0, 20.0, size=60)
    handle(it, Loaded(2, 60), wanted(3, "hot", 60), wanted(4, "hot", 60), now_s=20.0)
    assert handle(it, Measured(other, 50), now_s=20.0) == []
    assert phases(it) == {0: "ready", other: "ready", 2: "draining"}


# Failures, and devices that are lost ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "has_died"),
    [(LoadFailed("no"), False), (LoadFailed("no"), True), (DeviceMemoryExhausted("short"), False)],
)
def test_copy_that_fails_to_load_harms_nobody_and_backs_off_longer_each_time(error: LoadFailed, has_died: bool) -> None:
    it = engine(*GPUS[:2], linger_s=2.0, failure_backoff_s=100.0)
    load(it, 1, "hot")
    crowd(it, "hot", 0.0, 10.0)
    assert handle(it, LoadBroke(1, error, has_died), Gone(1), now_s=10.0) == []
    assert not it.breakers.states(10.0)
    assert crowd(it, "hot", 11.0, 109.0) == []
    assert crowd(it, "hot", 110.0, 110.0) == [Start(2, "hot", GPUS[1])]
    handle(it, Gone(2), now_s=110.0)
    assert crowd(it, "hot", 111.0, 309.0) == []
    assert not it.breakers.states(309.0)
    assert crowd(it, "hot", 310.0, 310.0) == [Start(3, "hot", GPUS[1])]


def test_copy_that_loaded_after_a_failure_is_trusted_again() -> None:
    it = engine(*GPUS[:2], linger_s=2.0, failure_backoff_s=100.0)
    load(it, 1, "hot")
    crowd(it, "hot", 0.0, 10.0)
    handle(it, Gone(1), now_s=10.0)
    crowd(it, "hot", 11.0, 110.0)
    handle(it, Loaded(2, 40), Gone(2), now_s=111.0)
    assert crowd(it, "hot", 112.0, 122.0) == [Start(3, "hot", GPUS[1])]
    handle(it, Gone(3), now_s=123.0)
    assert crowd(it, "hot", 124.0, 223.0) == [Start(4, "hot", GPUS[1])]


def test_copy_that_failed_on_one_device_may_go_to_another() -> None:
    it = engine(*GPUS, linger_s=2.0, failure_backoff_s=100.0)
    load(it, 1, "hot")
    crowd(it, "hot", 0.0, 10.0)
    handle(it, LoadBroke(1, LoadFailed("no")), Gone(1), now_s=10.0)
    assert crowd(it, "hot", 11.0, 21.0) == [Start(2, "hot", GPUS[2])]


def test_copy_takes_the_place_of_a_predictor_that_died_and_stays() -> None:
    pinned = ModelRules(is_pinned=True)
    it = two(rules=pinned)
    assert it.ledgers["gpu:1"].capacity_bytes == 100
    handle(it, *(wanted(waiter, "hot", rules=pinned) for waiter in (1, 2)), now_s=11.0)
    assert handle(it, Gone(0), now_s=12.0) == []
    assert handle(it, wanted(3, "hot", rules=pinned), now_s=12.0) == [Grant(3, 1, is_cold=False)]
    handle(it, Released(0), Released(1), Released(1), now_s=13.0)
    assert handle(it, Tick(), now_s=1e6) == []
    assert it.ledgers["gpu:1"].capacity_bytes == 60


def test_copy_that_is_ready_takes_the_place_rather_than_one_that_loads() -> None:
    it = Copies(ResidencySettings())
    own, ready, loading = (Resident(number, "hot", 40, Phase.READY, place=2 - number) for number in range(3))
    loading.phase = Phase.LOADING
    for resident in (own, ready, loading):
        it.add(resident)
    assert it.remove(own) is ready
    assert (ready.is_copy, loading.is_copy) == (False, True)


def test_copy_that_takes_the_place_keeps_alive_as_its_version_does() -> None:
    it = two(rules=ModelRules(keep_alive_s=100.0))
    handle(it, Gone(0), now_s=12.0)
    assert handle(it, Tick(), now_s=109.0) == []
    assert handle(it, Tick(), now_s=110.0) == [Stop(1, "idle")]


def test_copy_still_loading_is_waited_for_when_its_versions_own_has_died() -> None:
    it = engine(*GPUS[:2], linger_s=2.0)
    load(it, 1, "hot")
    crowd(it, "hot", 0.0, 10.0)
    handle(it, Gone(0), now_s=11.0)
    assert handle(it, wanted(2, "hot"), now_s=11.0) == []
    (again,) = handle(it, LoadBroke(1, LoadFailed("no"), has_died=True), now_s=12.0)  # as any load that is waited for
    assert isinstance(again, Start)
    assert handle(it, Loaded(again.resident, 40), now_s=13.0) == [Grant(2, again.resident, is_cold=True)]


def test_copy_serves_on_when_the_first_device_is_lost_and_comes_anew_when_it_is_back() -> None:
    it = two()
    handle(it, wanted(1, "hot"), wanted(2, "hot"), now_s=11.0)
    assert handle(it, Budget("gpu:0", None), now_s=12.0) == [Stop(0, "lost")]
    handle(it, Gone(0), Released(0), Released(1), now_s=12.0)
    assert crowd(it, "hot", 12.0, 40.0) == []
    handle(it, Budget("gpu:0", 100), now_s=41.0)
    assert crowd(it, "hot", 42.0, 42.0) == [Start(2, "hot", GPUS[0])]
    handle(it, Loaded(2, 40), now_s=43.0)
    assert it.resident(2).is_copy  # type: ignore[union-attr]
    assert handle(it, wanted(3, "hot"), now_s=43.0) == [Grant(3, 2, is_cold=False)]  # gpu:0 comes first

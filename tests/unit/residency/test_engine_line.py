"""Who waits for room, for how long, and what time alone changes."""

import math

import pytest

from model_store.errors import DeviceMemoryExhausted, QueueFull
from model_store.residency.devices import Device
from model_store.residency.events import (
    Gone,
    Grant,
    Left,
    Loaded,
    ModelRules,
    Prefetch,
    Priority,
    Refuse,
    Released,
    Start,
    Stop,
    Tick,
)
from model_store.residency.ledger import Phase
from tests.unit.residency.engines import engine, handle, load, sizes, wanted

GPUS = (Device("gpu:0", "gpu", "", 100), Device("gpu:1", "gpu", "", 100))
CPU = Device("cpu", "cpu", "", 1000)


def phases(it: object) -> dict[str, str]:
    return {res.version: res.phase.value for ledger in it.ledgers.values() for res in ledger}  # type: ignore[attr-defined]


# Turns ----------------------------------------------------------------------------------------------------------------


def test_engine_version_in_steady_use_takes_nobody_new_once_its_turn_is_over() -> None:
    it = engine(turn_s=2.0)
    load(it, 1, "a", 80)
    handle(it, wanted(2, "a", 80), now_s=9.0)
    assert handle(it, wanted(3, "b", 80), now_s=10.0) == []
    assert it.wakes_at_s == 12.0
    assert handle(it, wanted(4, "a", 80), now_s=11.9) == [Grant(4, 0, is_cold=False)]
    assert handle(it, Tick(), now_s=12.0) == []
    assert phases(it) == {"a": "draining"}
    assert handle(it, wanted(5, "a", 80), now_s=12.1) == []
    assert handle(it, Released(0), now_s=12.2) == []
    assert handle(it, Released(0), now_s=12.3) == [Stop(0, "room")]
    assert [action.version for action in handle(it, Gone(0), now_s=12.4) if isinstance(action, Start)] == ["b"]


def test_engine_draining_version_goes_on_when_the_newcomer_has_left() -> None:
    it = engine(turn_s=2.0)
    load(it, 1, "a", 80)
    handle(it, wanted(2, "a", 80), wanted(3, "b", 80), now_s=10.0)
    handle(it, Tick(), now_s=12.0)
    assert handle(it, wanted(4, "a", 80), now_s=12.1) == []
    assert handle(it, Left(3), now_s=12.2) == [Grant(4, 0, is_cold=False)]
    assert phases(it) == {"a": "ready"}


def test_engine_idle_version_keeps_its_place_for_as_long_as_a_queue_needs_to_come_back() -> None:
    it = engine(turn_s=2.0, linger_s=0.05)
    load(it, 1, "a", 80, now_s=10.0)
    assert handle(it, wanted(2, "b", 80), now_s=10.01) == []
    assert it.wakes_at_s == pytest.approx(10.05)
    assert handle(it, wanted(3, "a", 80), now_s=10.02) == [Grant(3, 0, is_cold=False)]
    assert handle(it, Released(0), now_s=10.5) == []
    assert handle(it, Tick(), now_s=10.55) == [Stop(0, "room")]


def test_engine_higher_class_goes_ahead_in_the_line() -> None:
    it = engine()
    load(it, 1, "a", 80)
    handle(it, wanted(2, "a", 80), wanted(3, "b", 80))
    handle(it, wanted(4, "c", 80, rules=ModelRules(priority=Priority.INTERACTIVE)))
    handle(it, Released(0))
    assert [action.version for action in handle(it, Gone(0)) if isinstance(action, Start)] == ["c"]


# Limits ---------------------------------------------------------------------------------------------------------------


def test_engine_slow_load_blocks_nobody_and_loads_are_few_at_a_time() -> None:
    it = engine(max_loads=2)
    handle(it, wanted(1, "slow", 10), wanted(2, "b", 10))
    assert handle(it, wanted(3, "c", 10)) == []
    actions = handle(it, Loaded(1, 10))
    assert [type(action) for action in actions] == [Grant, Start]
    assert handle(it, wanted(4, "b", 10)) == [Grant(4, 1, is_cold=False)]
    assert handle(it, wanted(5, "d", 10)) == []
    assert [action.version for action in handle(it, Loaded(2, 10)) if isinstance(action, Start)] == ["d"]


def test_engine_queue_limit_of_a_version_refuses_more() -> None:
    it = engine(max_waiters=2)
    handle(it, wanted(1, "a"), wanted(2, "a"))
    (refuse,) = handle(it, wanted(3, "a"))
    assert isinstance(refuse, Refuse)
    assert isinstance(refuse.error, QueueFull)
    assert [type(action) for action in handle(it, Loaded(0, 40))] == [Grant, Grant]


def test_engine_wait_for_room_has_an_end_and_that_of_a_load_has_not() -> None:
    it = engine(max_wait_s=60.0, turn_s=1e6)
    load(it, 1, "a", 80)
    handle(it, wanted(2, "a", 80), wanted(3, "b", 80))
    handle(it, wanted(4, "b", 80), now_s=30.0)
    assert it.wakes_at_s == 60.0
    (refuse,) = handle(it, Tick(), now_s=60.0)
    assert isinstance(refuse, Refuse)
    assert (refuse.waiter, type(refuse.error)) == (3, DeviceMemoryExhausted)
    assert refuse.error.details["needed_bytes"] == {"cpu": 80}
    assert it.wakes_at_s == 90.0
    assert it.waiting == 1

    loading = engine(max_wait_s=60.0)
    handle(loading, wanted(1, "a"))
    assert handle(loading, Tick(), now_s=100.0) == []
    assert handle(loading, Loaded(0, 40), now_s=101.0) == [Grant(1, 0, is_cold=True)]


def test_engine_load_that_nobody_waits_for_any_more_is_cancelled() -> None:
    it = engine()
    handle(it, wanted(1, "a"), wanted(2, "a"), Left(1))
    assert handle(it, Left(2)) == [Stop(0, "unwanted")]
    assert handle(it, Loaded(0, 40)) == []  # it came too late to be told
    assert [type(action) for action in handle(it, wanted(3, "a"))] == [Start]


# Keep-alive -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("keep_alive_s", "goes_at_s"), [(0.0, 10.0), (5.0, 15.0), (math.inf, math.inf)])
def test_engine_keep_alive_is_zero_a_duration_or_for_ever(keep_alive_s: float, goes_at_s: float) -> None:
    it = engine()
    handle(it, wanted(1, "a", rules=ModelRules(keep_alive_s=keep_alive_s)), Loaded(0, 40))
    stops = handle(it, Released(0), now_s=10.0)
    assert stops == ([Stop(0, "idle")] if keep_alive_s == 0 else [])
    assert it.wakes_at_s == (goes_at_s if goes_at_s > 10.0 else math.inf)
    if 10.0 < goes_at_s < math.inf:
        assert handle(it, Tick(), now_s=goes_at_s) == [Stop(0, "idle")]


def test_engine_keep_alive_counts_from_the_last_use_and_spares_who_is_in_use_or_pinned() -> None:
    it = engine()
    brief = ModelRules(keep_alive_s=5.0)
    load(it, 1, "a", 20, rules=brief)
    load(it, 2, "b", 20, rules=ModelRules(keep_alive_s=5.0, is_pinned=True))
    handle(it, wanted(3, "a", rules=brief), Released(0), wanted(4, "a", rules=brief), now_s=4.0)
    assert handle(it, Tick(), now_s=9.0) == []
    handle(it, Released(0), now_s=10.0)
    assert handle(it, Tick(), now_s=14.9) == []
    assert handle(it, Tick(), now_s=15.0) == [Stop(0, "idle")]


# Prefetch -------------------------------------------------------------------------------------------------------------


def test_engine_prefetch_loads_what_fits_and_evicts_nobody_for_it() -> None:
    it = engine(max_loads=1)
    load(it, 1, "a", 60)
    first = handle(it, Prefetch("b", sizes(30)), Prefetch("c", sizes(30)), Prefetch("a", sizes(60)))
    assert [action.version for action in first if isinstance(action, Start)] == ["b"]
    assert handle(it, Loaded(1, 30)) == []  # no room for c, and nobody goes for it
    assert handle(it, wanted(2, "b")) == [Grant(2, 1, is_cold=False)]


def test_engine_prefetched_load_is_not_cancelled_by_who_left() -> None:
    it = engine()
    handle(it, Prefetch("a", sizes(30)), wanted(1, "a"))
    assert handle(it, Left(1)) == []
    handle(it, Loaded(0, 30))
    assert it.resident(0).phase is Phase.READY  # type: ignore[union-attr]


# Placement ------------------------------------------------------------------------------------------------------------


def test_engine_places_where_it_fits_then_where_there_is_less_to_do_then_where_more_is_free() -> None:
    it = engine(*GPUS, CPU)
    places = [load(it, number, name, size) for number, (name, size) in enumerate([("a", 30), ("b", 20), ("c", 60)])]
    at = {resident.id: ledger.device.id for ledger in it.ledgers.values() for resident in ledger}
    assert [at[place] for place in places] == ["gpu:0", "gpu:1", "gpu:1"]  # first, spread, more free
    handle(it, wanted(3, "a", 30))  # gpu:0 has something to do, and gpu:1 room for ten
    (start,) = handle(it, wanted(4, "d", 20))
    assert isinstance(start, Start)
    assert start.device.id == "gpu:1"
    (start,) = handle(it, wanted(5, "e", 50))
    assert isinstance(start, Start)
    assert start.device.id == "gpu:0"


def test_engine_waits_for_a_gpu_rather_than_be_served_by_the_cpu_and_takes_it_where_no_gpu_is_large_enough() -> None:
    it = engine(GPUS[0], CPU, turn_s=10.0)
    load(it, 1, "a", 80)
    handle(it, wanted(2, "a", 80))
    assert handle(it, wanted(3, "b", 80)) == []
    (start,) = handle(it, wanted(4, "huge", 500))
    assert isinstance(start, Start)
    assert start.device.id == "cpu"


def test_engine_pinned_bytes_are_nobody_elses() -> None:
    it = engine()
    load(it, 1, "a", 40, rules=ModelRules(is_pinned=True))
    (refuse,) = handle(it, wanted(2, "b", 61))
    assert isinstance(refuse, Refuse)
    assert refuse.error.details == {"needed_bytes": {"cpu": 61}, "capacity_bytes": {"cpu": 60}}

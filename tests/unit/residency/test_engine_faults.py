"""Loads that fail, processes that die, memory that is short or comes late."""

import pytest

from model_store.errors import DeviceMemoryExhausted, LoadFailed, ModelUnavailable
from model_store.residency.engine import Engine
from model_store.residency.events import (
    Exited,
    Gone,
    Grant,
    LoadBroke,
    Loaded,
    Measured,
    Prefetch,
    Refuse,
    Released,
    Start,
    Stop,
    Tick,
)
from tests.unit.residency.engines import engine, handle, load, sizes, wanted

SHORT = DeviceMemoryExhausted("Memory ran out.")
REFUSED = LoadFailed("no such operator")


def fail(it: Engine, waiter: int, now_s: float, version: str = "bad") -> None:
    """One load of a version that cannot be loaded."""
    (start,) = handle(it, wanted(waiter, version, 10), now_s=now_s)
    assert isinstance(start, Start)
    (refuse,) = handle(it, LoadBroke(start.resident, REFUSED), Gone(start.resident), now_s=now_s)
    assert isinstance(refuse, Refuse)
    assert refuse.error is REFUSED


# Memory that is short -------------------------------------------------------------------------------------------------


def test_engine_memory_short_at_a_load_evicts_no_more_than_it_takes_and_tries_again_with_more() -> None:
    it = engine()
    first, second = load(it, 1, "a", 30), load(it, 2, "b", 30)
    handle(it, wanted(3, "c", 40))
    assert handle(it, LoadBroke(2, SHORT)) == [Stop(first, "room")]
    assert handle(it, Gone(2)) == []  # 40 are free, and it is to have 60
    (start,) = handle(it, Gone(first))
    assert isinstance(start, Start)
    assert it.resident(start.resident).charged_bytes == 60  # type: ignore[union-attr]
    assert handle(it, Loaded(start.resident, 50)) == [Grant(3, start.resident, is_cold=True)]
    assert it.resident(second) is not None


def test_engine_memory_short_twice_fails_with_what_was_tried() -> None:
    mib = 2**20
    it = engine()
    it.ledgers["cpu"].device = type(it.ledgers["cpu"].device)("cpu", "cpu", "", 100 * mib)
    handle(it, wanted(1, "a", 40 * mib), LoadBroke(0, SHORT), Gone(0))
    (refuse,) = handle(it, LoadBroke(1, SHORT))
    assert isinstance(refuse, Refuse)
    assert isinstance(refuse.error, DeviceMemoryExhausted)
    assert [told.split(":")[0] for told in refuse.error.details["tried"]] == ["with 40 MiB", "with 60 MiB"]
    assert handle(it, Gone(1)) == []


def test_engine_second_try_has_the_loads_of_its_device_to_itself() -> None:
    it = engine()
    handle(it, wanted(1, "a", 20), wanted(2, "b", 20), LoadBroke(0, SHORT))
    assert handle(it, Gone(0)) == []  # b loads
    assert handle(it, wanted(3, "c", 20)) == []  # and a is next
    assert [type(action) for action in handle(it, Loaded(1, 20))] == [Grant, Start]
    assert handle(it, wanted(4, "d", 20)) == []
    actions = handle(it, Loaded(2, 20))
    assert sorted(action.version for action in actions if isinstance(action, Start)) == ["c", "d"]


def test_engine_deficit_that_cannot_be_repaid_at_once_is_when_a_lease_comes_back() -> None:
    it = engine()
    first, second = load(it, 1, "a"), load(it, 2, "b")
    handle(it, wanted(3, "a"), wanted(4, "b"))
    assert handle(it, Measured(second, 70)) == []
    assert it.ledgers["cpu"].free_bytes == -10
    assert handle(it, Released(first)) == [Stop(first, "deficit")]


# Memory that comes late -----------------------------------------------------------------------------------------------


def test_engine_bytes_of_a_dead_process_count_until_the_device_shows_them_free() -> None:
    it = engine()
    first = load(it, 1, "a", 80)
    assert handle(it, Exited(first)) == []
    assert handle(it, wanted(2, "a", 80)) == []
    (start,) = handle(it, Gone(first))
    assert isinstance(start, Start)


# Loads that fail ------------------------------------------------------------------------------------------------------


def test_engine_worker_that_died_while_it_loaded_is_replaced_once_without_telling_anybody() -> None:
    it = engine()
    handle(it, wanted(1, "a"))
    assert handle(it, LoadBroke(0, REFUSED, has_died=True)) != []
    (refuse,) = handle(it, LoadBroke(1, REFUSED, has_died=True))
    assert isinstance(refuse, Refuse)
    assert isinstance(handle(it, wanted(2, "a"))[0], Refuse)


def test_engine_process_that_ends_while_it_loads_counts_as_one_that_died() -> None:
    it = engine()
    handle(it, wanted(1, "a"))
    assert [type(action) for action in handle(it, Gone(0))] == [Start]


def test_engine_failing_version_backs_off_longer_each_time_and_its_breaker_opens_after_three() -> None:
    it = engine(failure_backoff_s=10.0)
    for now_s, pause_s in ((0.0, 10.0), (10.0, 20.0), (30.0, 40.0)):
        fail(it, int(now_s), now_s)
        (refuse,) = handle(it, wanted(1000, "bad", 10), now_s=now_s + 1)
        assert isinstance(refuse, Refuse)
        assert isinstance(refuse.error, ModelUnavailable)
        assert refuse.error.retry_after_s == pytest.approx(pause_s - 1)
    assert it.breakers.states(31.0) == {"open": 1}
    assert it.breakers.states(70.0) == {"half_open": 1}


def test_engine_half_open_breaker_lets_one_probe_through_and_closes_when_it_loads() -> None:
    it = engine(failure_backoff_s=10.0)
    for now_s in (0.0, 10.0, 30.0):
        fail(it, int(now_s), now_s)
    (probe,) = handle(it, wanted(1, "bad", 10), now_s=70.0)
    assert isinstance(probe, Start)
    assert handle(it, wanted(2, "bad", 10), now_s=70.0) == []
    assert [type(action) for action in handle(it, Loaded(probe.resident, 10), now_s=71.0)] == [Grant, Grant]
    assert not it.breakers.states(71.0)


def test_engine_version_behind_an_open_breaker_evicts_nobody_and_holds_nobody_up() -> None:
    it = engine(failure_backoff_s=10.0)
    for now_s in (0.0, 10.0, 30.0):
        fail(it, int(now_s), now_s)
    first = load(it, 1, "a", 50, now_s=40.0)
    load(it, 2, "b", 45, now_s=40.0)
    assert handle(it, wanted(3, "bad", 10), now_s=80.0) == []
    assert handle(it, wanted(4, "c", 50), now_s=81.0) == [Stop(first, "room")]
    started = handle(it, Gone(first), now_s=82.0)
    assert [action.version for action in started if isinstance(action, Start)] == ["c"]


def test_engine_first_failure_is_left_alone_and_then_waits_for_free_room_before_it_evicts() -> None:
    it = engine(failure_backoff_s=10.0)
    fail(it, 0, 0.0)
    first = load(it, 1, "a", 95)
    assert handle(it, wanted(2, "bad", 10), now_s=10.0) == []
    assert it.wakes_at_s == 20.0
    assert handle(it, Tick(), now_s=20.0) == [Stop(first, "room")]


def test_engine_failed_prefetch_is_remembered_and_not_repeated() -> None:
    it = engine()
    handle(it, Prefetch("a", sizes(40)))
    assert handle(it, LoadBroke(0, REFUSED), Gone(0)) == []
    assert handle(it, Prefetch("a", sizes(40))) == []
    assert isinstance(handle(it, wanted(1, "a"))[0], Refuse)

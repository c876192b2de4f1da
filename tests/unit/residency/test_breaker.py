"""Versions that fail: how long they are left alone, and what they may do to others."""

import pytest

from model_store.errors import ModelUnavailable
from model_store.residency.breaker import Breakers
from model_store.residency.settings import ResidencySettings


def breakers(**settings: float) -> Breakers:
    said = {"failure_backoff_s": 10.0, "failure_backoff_max_s": 60.0, "failure_memory_s": 900.0} | settings
    return Breakers(ResidencySettings(**said))  # type: ignore[arg-type]


def fail(it: Breakers, times: int, at_s: float = 0.0) -> None:
    for _ in range(times):
        it.failed("a", "no such operator", at_s)


@pytest.mark.parametrize(("failures", "pause_s"), [(1, 10), (2, 20), (3, 40), (4, 60), (9, 60)])
def test_breakers_leave_alone_twice_as_long_each_time_up_to_a_limit(failures: int, pause_s: float) -> None:
    it = breakers()
    fail(it, failures, at_s=5.0)
    refusal = it.refusal("a", 6.0)
    assert isinstance(refusal, ModelUnavailable)
    assert refusal.retry_after_s == pytest.approx(pause_s - 1.0)
    assert "no such operator" in refusal.message
    assert it.refusal("a", 5.0 + pause_s) is None
    assert it.refusal("b", 6.0) is None


def test_breakers_evict_after_a_failure_only_when_no_room_came_free_for_a_while() -> None:
    it = breakers()
    assert it.may_evict("a", 0.0)
    fail(it, 1)
    assert not it.may_evict("a", 19.9)
    assert it.next_change_s("a", 10.0) == 20.0
    assert it.may_evict("a", 20.0)


def test_breakers_open_one_evicts_nobody_until_it_is_forgotten() -> None:
    it = breakers()
    fail(it, 3)
    assert not it.may_evict("a", 899.9)
    assert it.next_change_s("a", 10.0) == 900.0
    assert it.may_evict("a", 900.0)


def test_breakers_success_forgets_all_failures() -> None:
    it = breakers()
    fail(it, 5)
    it.succeeded("a")
    assert it.refusal("a", 1.0) is None
    fail(it, 1, at_s=1.0)
    assert it.refusal("a", 11.0) is None


def test_breakers_records_expire_when_nothing_failed_for_long() -> None:
    it = breakers()
    fail(it, 2)
    fail(it, 1, at_s=901.0)
    assert it.refusal("a", 911.0) is None  # counted as the first


def test_breakers_states_are_counted() -> None:
    it = breakers()
    fail(it, 3)
    it.failed("b", "no", 0.0)
    assert it.states(1.0) == {"open": 1, "backing_off": 1}
    assert it.states(40.0) == {"half_open": 1, "backing_off": 1}
    assert it.states(1000.0) == {}

"""Whose turn it is: tenants by the seconds that they had, classes by their share."""

import random

import pytest

from gateway.dispatch.fairness import Classes, Fairness
from tests.unit.dispatch.waiting import BULK, INTERACTIVE


def first(it: Fairness, *tenants: str) -> str:
    return min(tenants, key=it.place)


def test_fairness_who_had_less_goes_first() -> None:
    it = Fairness({})
    for tenant in "ab":
        it.come(tenant)
    it.charge("a", 0.5)
    it.charge("b", 0.2)
    assert first(it, "a", "b") == "b"
    it.charge("b", 0.4)
    assert first(it, "a", "b") == "a"


def test_fairness_of_equals_goes_first_who_had_no_turn_for_longer() -> None:
    it = Fairness({})
    for tenant in "abc":
        it.come(tenant)
    for tenant in "abc":
        it.charge(tenant, 1.0)
    assert first(it, "c", "b", "a") == "a"


def test_fairness_weight_makes_seconds_count_for_less() -> None:
    it = Fairness({"a": 3.0})
    for tenant in "ab":
        it.come(tenant)
    served = dict.fromkeys("ab", 0.0)
    for _ in range(4000):
        tenant = first(it, "a", "b")
        it.charge(tenant, 0.1)
        served[tenant] += 0.1
    assert served["a"] / served["b"] == pytest.approx(3.0, rel=0.01)


def test_fairness_idle_time_banks_no_credit_beyond_a_second() -> None:
    it = Fairness({})
    it.come("busy")
    it.charge("busy", 1000.0)
    it.come("back")
    turns = 0
    while first(it, "busy", "back") == "back":
        it.charge("back", 0.1)
        turns += 1
    assert 0 < turns <= 11


def test_fairness_who_goes_and_comes_keeps_what_it_had() -> None:
    it = Fairness({})
    for tenant in "ab":
        it.come(tenant)
    it.charge("a", 5.0)
    it.go("a")
    it.come("a")
    assert first(it, "a", "b") == "b"


def test_fairness_newcomers_gain_nothing_from_one_another() -> None:
    """Each is a second ahead of the busy one at most, however many came before."""
    it = Fairness({})
    it.come("busy")
    it.charge("busy", 100.0)
    for number in range(50):
        it.come(f"new {number}")
    assert it.place("busy")[0] - min(it.place(f"new {number}")[0] for number in range(50)) <= 1.0


def test_fairness_when_nobody_is_there_all_begin_anew() -> None:
    it = Fairness({})
    it.come("a")
    it.charge("a", 100.0)
    it.go("a")
    for tenant in "ab":
        it.come(tenant)
    assert it.place("a") == it.place("b")


def test_fairness_forgets_tenants_that_are_gone() -> None:
    it = Fairness({})
    it.come("busy")
    for number in range(1000):
        it.come(f"guest {number}")
        it.charge("busy", 1.0)
        it.go(f"guest {number}")
    assert len(it) == 1
    assert len(it._accounts) < 100


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5])
def test_classes_bulk_gets_its_share_while_both_wait(share: float) -> None:
    it, chance = Classes(share), random.Random(7)
    served = {INTERACTIVE: 0.0, BULK: 0.0}
    for _ in range(5000):
        urgency, seconds = (BULK, 0.4) if it.is_bulk_due(0.4) else (INTERACTIVE, chance.uniform(0.01, 0.1))
        it.served(urgency, seconds, is_bulk_waiting=True)
        served[urgency] += seconds
    assert served[BULK] / sum(served.values()) == pytest.approx(share, abs=0.01)


def test_classes_bulk_is_owed_nothing_for_the_time_when_none_waited() -> None:
    it = Classes(0.2)
    it.served(INTERACTIVE, 100.0, is_bulk_waiting=False)
    assert not it.is_bulk_due(0.1)


def test_classes_what_bulk_had_alone_counts() -> None:
    it = Classes(0.5)
    it.served(INTERACTIVE, 1.0, is_bulk_waiting=True)
    it.served(BULK, 1.0, is_bulk_waiting=True)
    assert not it.is_bulk_due(0.1)

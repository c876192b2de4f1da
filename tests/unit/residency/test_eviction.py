"""Which residents go: sets checked against every subset of small examples, rules one by one."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_store.residency.devices import Device
from model_store.residency.events import ModelRules, Priority
from model_store.residency.eviction import Claim, Eviction, guaranteed, victims
from model_store.residency.ledger import Ledger, Phase, Resident
from model_store.residency.policies import Recency
from model_store.residency.settings import ResidencySettings

SOMEBODY = Claim(None, Priority.NORMAL, since_s=100.0)


def total(chosen: list[Resident]) -> int:
    return sum(resident.charged_bytes for resident in chosen)


def ledger(*residents: Resident) -> Ledger:
    it = Ledger(Device("cpu", "cpu", "test", 100))
    for resident in residents:
        it.add(resident)
    return it


def ready(number: int, **more: object) -> Resident:
    """Idle since second 50, 10 bytes, the lower numbers less recently used."""
    made = Resident(number, f"v{number}", 10, Phase.READY, loaded_at_s=10.0, used_at_s=50.0, last_use=number)
    for name, value in more.items():
        setattr(made, name, value)
    return made


def rules(**settings: object) -> Eviction:
    return Eviction(ResidencySettings(**settings), Recency())  # type: ignore[arg-type]


def chosen(it: Eviction, at: Ledger, needed: int, claim: Claim = SOMEBODY, now_s: float = 100.0) -> list[int] | None:
    plan = it.for_newcomer(at, needed, claim, now_s)
    return None if plan is None else [resident.id for resident in plan]


# Sets -----------------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 50), max_size=8), st.integers(1, 200))
def test_victims_are_enough_and_none_could_be_spared(sizes: list[int], needed: int) -> None:
    standing = [Resident(number, f"v{number}", size) for number, size in enumerate(sizes)]
    is_possible = any(
        total(list(some)) >= needed for n in range(len(standing) + 1) for some in combinations(standing, n)
    )
    plan = victims(standing, needed)
    assert (plan is not None) == is_possible
    if plan is not None:
        assert total(plan) >= needed
        assert all(total(plan) - resident.charged_bytes < needed for resident in plan)


def test_victims_older_ones_go_before_younger_ones_of_the_same_size() -> None:
    plan = victims([Resident(number, "v", 10) for number in range(3)], 20)
    assert [resident.id for resident in plan or []] == [0, 1]


# Rules ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", [Phase.LOADING, Phase.DRAINING, Phase.STOPPING])
def test_eviction_spares_who_is_not_ready(phase: Phase) -> None:
    assert chosen(rules(), ledger(ready(1, phase=phase)), 10) is None


def test_eviction_pinned_versions_never_go() -> None:
    at = ledger(ready(1, rules=ModelRules(is_pinned=True)), ready(2))
    assert chosen(rules(), at, 10) == [2]
    assert chosen(rules(), at, 20, now_s=1e9) is None
    assert rules().for_deficit(at, 20) == []


def test_eviction_lower_classes_go_before_less_recent_ones() -> None:
    at = ledger(ready(1), ready(2, rules=ModelRules(priority=Priority.BATCH)), ready(3))
    assert chosen(rules(), at, 20) == [2, 1]


def test_eviction_in_use_waits_until_both_had_a_turn() -> None:
    it = rules(turn_s=2.0)
    early, late = ledger(ready(1, leases=1)), ledger(ready(1, leases=1, loaded_at_s=101.0))
    assert chosen(it, early, 10, now_s=101.9) is None
    assert chosen(it, early, 10, now_s=102.0) == [1]
    assert chosen(it, late, 10, now_s=102.9) is None
    assert chosen(it, late, 10, now_s=103.0) == [1]
    assert it.next_chance_s(late, SOMEBODY, 102.0) == 103.0


def test_eviction_higher_class_in_use_is_not_disturbed_by_a_lower_one() -> None:
    at = ledger(ready(1, leases=1, rules=ModelRules(priority=Priority.INTERACTIVE)))
    assert chosen(rules(), at, 10, now_s=1e9) is None


def test_eviction_idle_ones_go_before_those_in_use() -> None:
    at = ledger(ready(1, leases=1), ready(2))
    assert chosen(rules(), at, 10, now_s=1e6) == [2]
    assert chosen(rules(), at, 20, now_s=1e6) == [2, 1]


def test_eviction_version_used_a_moment_ago_counts_as_in_demand() -> None:
    it = rules(linger_s=0.05, turn_s=2.0)
    at = ledger(ready(1, used_at_s=100.0))
    assert chosen(it, at, 10, now_s=100.04) is None
    assert it.next_chance_s(at, SOMEBODY, 100.04) == pytest.approx(100.05)
    assert chosen(it, at, 10, now_s=100.05) == [1]


def test_eviction_minimum_residency_holds_for_idle_ones_and_those_in_use() -> None:
    it = rules(min_residency_s=120.0)
    for at in (ledger(ready(1)), ledger(ready(1, leases=1))):
        assert chosen(it, at, 10, now_s=129.9) is None
        assert chosen(it, at, 10, now_s=130.0) == [1]


def test_eviction_copies_go_before_all_others_in_use_or_still_loading_or_of_a_higher_class() -> None:
    it = rules(turn_s=1e6, linger_s=1e6, min_residency_s=1e6, tenant_guarantees_bytes={"acme": 20})
    pinned = ModelRules(is_pinned=True, priority=Priority.INTERACTIVE)
    at = ledger(
        ready(1, used_at_s=0.0, loaded_at_s=-1e6),
        ready(2, is_copy=True, leases=3, rules=pinned, tenants={"acme": 1.0}),
        ready(3, is_copy=True, phase=Phase.LOADING),
        ready(4, is_copy=True, phase=Phase.DRAINING),
    )
    assert chosen(it, at, 20) == [3, 2]
    assert [resident.id for resident in it.for_deficit(at, 20)] == [3, 2]


def test_eviction_for_a_copy_takes_who_has_been_idle_for_ten_loads_and_is_worth_less() -> None:
    it, own = rules(), ready(9, last_use=9)
    at = ledger(ready(1), ready(2, leases=1), ready(3, last_use=10), ready(4, used_at_s=80.0), ready(5))

    def plan(needed: int, now_s: float = 95.0) -> list[int] | None:
        chosen = it.for_copy(at, needed, own, since_s=60.0, now_s=now_s)
        return None if chosen is None else [resident.id for resident in chosen]

    assert plan(20) is None  # a load took 10 s
    assert plan(20, now_s=150.0) == [1, 5]
    assert plan(30, now_s=1e6) is None


def test_eviction_guarantee_covers_what_a_tenant_used_last_as_far_as_it_goes() -> None:
    used_s = {1: 1.0, 2: 3.0, 3: 2.0}
    at = ledger(*(ready(number, tenants={"acme": at_s}) for number, at_s in used_s.items()), ready(4))
    assert guaranteed(at, "other", {"acme": 20}) == {2, 3}
    assert guaranteed(at, "acme", {"acme": 20}) == set()
    it = rules(tenant_guarantees_bytes={"acme": 20})
    assert chosen(it, at, 20, Claim("other", Priority.NORMAL, 0.0), now_s=1e9) == [1, 4]
    assert chosen(it, at, 30, Claim("other", Priority.NORMAL, 0.0), now_s=1e9) is None
    assert chosen(it, at, 30, Claim("acme", Priority.NORMAL, 0.0), now_s=1e9) == [1, 2, 3]

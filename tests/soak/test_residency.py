"""The bars of residency at full length, in the simulator; each prints its figure."""

import time

import pytest

from tests.bench.residency.drills import RandomOperations, WrongSizes
from tests.bench.residency.quality import compared
from tests.bench.residency.traces import TRACES, scan, shifting, steady

SEEDS = range(1000, 1020)  # none that the policy was tuned on

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]


@pytest.mark.parametrize("policy", ["lru", "cost"])
def test_bar_3_half_a_million_random_operations_under_each_policy_break_no_promise(policy: str) -> None:
    began_s = time.process_time()
    events = loads = 0
    for seed in range(10):
        it = RandomOperations(seed, policy, has_guarantees=seed % 2 == 1, max_copies=1 + seed % 3).run(50_000)
        assert it.engine.waiting == 0
        assert not it.requests
        events += it.events
        loads += len(it.loaded)
    print(f"{policy}: {events} events, {loads} loads, {time.process_time() - began_s:.0f} s of processor time")


@pytest.mark.parametrize("headroom", [0.0, 0.1])
def test_bar_4_ten_thousand_loads_of_wrong_sizes_show_no_client_that_memory_ran_out(headroom: float) -> None:
    it = WrongSizes(1, headroom).run(10_000)
    assert not it.refusals
    print(f"headroom {headroom:.0%}: memory ran out {it.exhaustions} times in {len(it.loaded)} loads, clients saw none")


@pytest.mark.parametrize("trace", [steady, shifting, scan])
def test_bar_6_cost_aware_closes_half_of_the_gap_over_twenty_seeds(trace: object) -> None:
    it = compared(trace, SEEDS)  # type: ignore[arg-type]
    assert it.gap_closed >= 0.5
    print(f"{it.name}: {it.gap_closed:.0%} of the gap between lru and true popularity closed")


@pytest.mark.parametrize("trace", TRACES)
def test_bar_6_cost_aware_is_never_much_worse_than_lru_over_twenty_seeds(trace: object) -> None:
    it = compared(trace, SEEDS, ())  # type: ignore[arg-type]
    assert max(it.cost_to_lru) <= 1.05
    print(f"{it.name}: at worst {max(it.cost_to_lru):.3f} of lru's cold seconds")

"""What policies are compared with in the bench: held against the true optimum of small traces, found by trying all."""

import random
from itertools import combinations

import pytest

from tests.bench.residency.replay import NAMES, replay
from tests.bench.residency.rivals import least_cold_s
from tests.bench.residency.simulator import Model
from tests.bench.residency.traces import TRACES, Trace


def small(seed: int, *, is_equal: bool) -> tuple[Trace, int]:
    """Five models, fourteen requests, and a budget that any of them fits."""
    rng = random.Random(seed)
    sizes = [100] * 5 if is_equal else [rng.randint(40, 160) for _ in range(5)]
    costs = [1.0] * 5 if is_equal else [rng.choice((0.5, 1.0, 3.0)) for _ in range(5)]
    models = tuple(Model(f"v{n}", size, cost) for n, (size, cost) in enumerate(zip(sizes, costs, strict=True)))
    requests = tuple(rng.randrange(5) for _ in range(14))
    return Trace("small", models, requests, ((1.0,) * 5,), 14), rng.randint(max(sizes), 320)


def optimum_s(trace: Trace, budget: int) -> float:
    """The fewest cold seconds of all ways to evict."""
    states: dict[frozenset[int], float] = {frozenset(): 0.0}
    for wanted in trace.requests:
        following: dict[frozenset[int], float] = {}
        for held, cold_s in states.items():
            choices = [held] if wanted in held else _evictions(trace, held, wanted, budget)
            cost = 0.0 if wanted in held else trace.models[wanted].load_s
            for choice in choices:
                following[choice] = min(following.get(choice, float("inf")), cold_s + cost)
        states = following
    return min(states.values())


def _evictions(trace: Trace, held: frozenset[int], wanted: int, budget: int) -> list[frozenset[int]]:
    kept = (set(some) | {wanted} for count in range(len(held) + 1) for some in combinations(held, count))
    return [frozenset(some) for some in kept if sum(trace.models[n].size_bytes for n in some) <= budget]


@pytest.mark.parametrize("seed", range(25))
def test_bound_is_below_the_optimum_and_every_policy_above_it(seed: int) -> None:
    trace, budget = small(seed, is_equal=False)
    best_s = optimum_s(trace, budget)
    assert least_cold_s(trace, budget) <= best_s + 1e-9
    assert all(replay(trace, name, budget).cold_s >= best_s - 1e-9 for name in NAMES)


@pytest.mark.parametrize("seed", range(25))
def test_foresight_on_equal_models_is_the_optimum(seed: int) -> None:
    trace, budget = small(seed, is_equal=True)
    assert replay(trace, "foresight", budget).cold_s == pytest.approx(optimum_s(trace, budget))


@pytest.mark.parametrize("make", TRACES)
def test_traces_are_the_same_for_the_same_seed_and_others_for_another(make: object) -> None:
    first, again, other = make(1), make(1), make(2)  # type: ignore[operator]
    assert first == again
    assert first.requests != other.requests
    assert max(model.size_bytes for model in first.models) <= first.budget_bytes

"""When requests are due, and in which order clips are sent."""

import itertools
import statistics
from collections import Counter

import pytest

from gateway.bench.arrivals import ARRIVALS, Arrivals, due_times, in_rounds

RATE_HZ = 20.0
COUNT = 40_000


def gaps(arrivals: Arrivals, seed: int = 1) -> list[float]:
    times = itertools.islice(due_times(arrivals, RATE_HZ, seed), COUNT)
    return [later - sooner for sooner, later in itertools.pairwise([0.0, *times])]


@pytest.mark.parametrize(("arrivals", "variation"), [("constant", 0.0), ("poisson", 1.0), ("bursty", 2.0)])
def test_due_times_have_the_rate_and_the_variation_of_their_kind(arrivals: Arrivals, variation: float) -> None:
    found = gaps(arrivals)
    assert min(found) >= 0
    assert statistics.mean(found) == pytest.approx(1 / RATE_HZ, rel=0.05)
    assert statistics.stdev(found) * RATE_HZ == pytest.approx(variation, rel=0.1, abs=1e-6)


@pytest.mark.parametrize("arrivals", ARRIVALS)
def test_due_times_of_a_seed_are_the_same_again(arrivals: Arrivals) -> None:
    assert gaps(arrivals) == gaps(arrivals)


@pytest.mark.parametrize("arrivals", ["poisson", "bursty"])
def test_due_times_of_another_seed_are_others(arrivals: Arrivals) -> None:
    assert gaps(arrivals, seed=1) != gaps(arrivals, seed=2)


def test_rounds_hold_every_clip_once_in_changing_order() -> None:
    turns = list(itertools.islice(in_rounds(7, seed=3), 70))
    rounds = [tuple(turns[start : start + 7]) for start in range(0, 70, 7)]
    assert all(sorted(one) == list(range(7)) for one in rounds)
    assert len(Counter(rounds)) > 5
    assert turns == list(itertools.islice(in_rounds(7, seed=3), 70))

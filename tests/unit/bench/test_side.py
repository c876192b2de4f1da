"""Side by side: the blank's bias, the bound, and the verdicts."""

import math
from collections.abc import Iterable

import numpy as np
import pytest

from tests.bench.side.bare import Turn
from tests.bench.side.blank import bias_for, with_blank_bias
from tests.bench.side.bound import Bound
from tests.bench.side.turns import OneClient
from tests.bench.side.verdicts import on_a_crowd, on_batching, on_one_client


@pytest.mark.parametrize("bias", [-7.5, 0.0, 0.3, 12.0])
def test_with_blank_bias_is_the_softmax_of_the_raised_scores(bias: float) -> None:
    scores = np.random.default_rng(0).normal(0.0, 3.0, (20, 50))
    raised = scores.copy()
    raised[:, 0] += bias
    before, expected = (one - np.log(np.exp(one).sum(axis=1, keepdims=True)) for one in (scores, raised))
    np.testing.assert_allclose(with_blank_bias(before.astype(np.float32), bias), expected, atol=1e-4)


@pytest.mark.parametrize("middle", [-3.0, 0.0, 6.5])
def test_bias_for_falling_tokens_comes_to_what_is_wanted(middle: float) -> None:
    def tokens_at(bias: float) -> float:
        return 74 / (1 + math.exp(bias - middle))

    assert tokens_at(bias_for(12.0, tokens_at)) == pytest.approx(12.0, rel=0.02)


def test_bias_for_tokens_in_steps_is_at_the_step() -> None:
    found = bias_for(12.0, lambda bias: 20.0 if bias < 1.5 else 5.0)
    assert found == pytest.approx(1.5, abs=0.02)


def test_bound_best_batch_is_the_one_that_gets_the_most_done() -> None:
    turns = [
        Turn(batch, runs_ms, {}, 12.0) for batch, runs_ms in ((1, [100.0, 110.0, 500.0]), (4, [320.0]), (8, [700.0]))
    ]
    bound = Bound(turns)
    assert (bound.run_ms(1), bound.best_batch, bound.clips_per_s(4)) == (110.0, 4, 12.5)


def test_bound_of_two_turns_takes_the_median_of_all_runs() -> None:
    bound = Bound([Turn(1, [100.0, 200.0], {}, 12.0), Turn(1, [110.0], {}, 14.0)])
    assert (bound.run_ms(1), bound.characters) == (110.0, 13.0)


@pytest.mark.parametrize(
    ("p50_ms", "theirs_ms", "hold"), [(107.9, 1400.0, [True, True]), (108.1, 1200.0, [False, False])]
)
def test_on_one_client_holds_within_eight_ms_and_twelve_times(
    p50_ms: float, theirs_ms: float, hold: list[bool]
) -> None:
    assert _held(on_one_client("x", OneClient(100.0, p50_ms, 100.0), theirs_ms)) == hold


@pytest.mark.parametrize(("clips_per_s", "theirs", "hold"), [(7.5, 0.75, [True, True]), (7.4, 0.75, [False, False])])
def test_on_a_crowd_holds_from_three_quarters_and_ten_times(
    clips_per_s: float, theirs: float, hold: list[bool]
) -> None:
    assert _held(on_a_crowd("x", clips_per_s, 10.0, theirs)) == hold


def test_verdicts_without_paddlespeech_are_of_the_bound_alone() -> None:
    assert len(list(on_one_client("x", OneClient(100.0, 100.0, 100.0), None))) == 1
    assert len(list(on_a_crowd("x", 1.0, 1.0, None))) == 1


@pytest.mark.parametrize(("batching_ms", "holds"), [(104.9, True), (105.1, False)])
def test_on_batching_holds_within_five_percent(batching_ms: float, holds: bool) -> None:
    assert _held([on_batching("x", OneClient(90.0, batching_ms, 100.0))]) == [holds]


def _held(lines: Iterable[str]) -> list[bool]:
    return [line.endswith(": holds.") for line in lines]

"""The search against every alignment there is."""

import itertools
import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_store.predictors.search import greedy, prefix_beam


def _log_probs(seed: int, n_frames: int, n_units: int, sharpness: float) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(0, sharpness, (n_frames, n_units))
    return (logits - np.log(np.exp(logits).sum(1, keepdims=True))).astype(np.float32)


def _best_first(log_probs: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    ids = np.argsort(-log_probs, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(log_probs, ids, 1), ids.astype(np.int32)


def _texts_by_brute_force(log_probs: np.ndarray) -> dict[tuple[int, ...], float]:
    """Every text and its probability: the sum over all alignments that collapse to it."""
    found: dict[tuple[int, ...], float] = defaultdict(float)
    for alignment in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        text = tuple(unit for unit, _ in itertools.groupby(alignment) if unit)
        found[text] += math.exp(sum(float(log_probs[t, unit]) for t, unit in enumerate(alignment)))
    return found


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(2, 4), st.floats(0.1, 4.0))
def test_prefix_beam_wide_enough_to_keep_all_gives_every_text_its_probability(seed, n_frames, n_units, sharpness):
    log_probs = _log_probs(seed, n_frames, n_units, sharpness)
    expected = _texts_by_brute_force(log_probs)
    found = prefix_beam(*_best_first(log_probs, n_units), 400)
    assert {path.tokens for path in found} == set(expected)
    for path in found:
        assert math.exp(path.score) == pytest.approx(expected[path.tokens], rel=1e-5)
    assert [path.score for path in found] == sorted((path.score for path in found), reverse=True)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 6))
def test_prefix_beam_narrow_never_overstates_and_never_repeats(seed, n_frames, beam_size):
    log_probs = _log_probs(seed, n_frames, 4, 2.0)
    expected = _texts_by_brute_force(log_probs)
    found = prefix_beam(*_best_first(log_probs, 4), beam_size)
    assert len({path.tokens for path in found}) == len(found) <= beam_size
    assert all(math.exp(path.score) <= expected[path.tokens] * (1 + 1e-5) for path in found)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6))
def test_greedy_collapses_the_best_alignment(seed, n_frames):
    log_probs = _log_probs(seed, n_frames, 4, 2.0)
    best = log_probs.argmax(1).tolist()
    found = greedy(*_best_first(log_probs, 2))
    assert found.tokens == tuple(unit for unit, _ in itertools.groupby(best) if unit)
    assert found.score == pytest.approx(float(log_probs.max(1).sum()), rel=1e-5)


def test_searches_of_no_frames_give_the_empty_text():
    nothing = np.zeros((0, 4), np.float32), np.zeros((0, 4), np.int32)
    assert greedy(*nothing).tokens == ()
    assert [(path.tokens, path.score) for path in prefix_beam(*nothing, 4)] == [((), 0.0)]


def test_prefix_beam_of_golden_equals_wenet(golden):
    for log_probs, expected in zip(golden.log_probs, golden.answers["prefix_beam5"], strict=True):
        found = prefix_beam(*_best_first(log_probs, 5), 5)
        assert [list(path.tokens) for path in found] == [answer["tokens"] for answer in expected]
        assert [path.score for path in found] == pytest.approx([answer["score"] for answer in expected], abs=1e-3)


def test_greedy_of_golden_equals_wenet(golden):
    for log_probs, expected in zip(golden.log_probs, golden.answers["greedy"], strict=True):
        assert list(greedy(*_best_first(log_probs, 5)).tokens) == expected

"""Peaks against every alignment there is."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from model_store.predictors.alignment import peaks


def _peaks_by_brute_force(tokens: tuple[int, ...], log_probs: np.ndarray) -> tuple[list[int], float]:
    """The peaks on the most probable alignment that collapses to `tokens`, and its log-probability."""
    best, frames = -np.inf, [0] * len(tokens)
    for alignment in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        runs = [(unit, list(run)) for unit, run in itertools.groupby(range(len(alignment)), alignment.__getitem__)]
        if tuple(unit for unit, _ in runs if unit) != tokens:
            continue
        score = float(sum(log_probs[t, unit] for t, unit in enumerate(alignment)))
        if score > best:
            best = score
            frames = [max(run, key=lambda t, unit=unit: log_probs[t, unit]) for unit, run in runs if unit]
    return frames, best


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5), st.lists(st.integers(1, 2), max_size=3))
def test_peaks_are_those_of_the_best_alignment(seed, n_frames, tokens):
    needed = len(tokens) + sum(a == b for a, b in itertools.pairwise(tokens))
    assume(needed <= n_frames)
    logits = np.random.default_rng(seed).normal(0, 2, (n_frames, 3))
    log_probs = (logits - np.log(np.exp(logits).sum(1, keepdims=True))).astype(np.float32)
    ids = np.tile(np.arange(3, dtype=np.int32), (n_frames, 1))
    frames, heights = peaks(np.array(tokens, np.int32), log_probs, ids, log_probs[:, 0])
    expected, _ = _peaks_by_brute_force(tuple(tokens), log_probs)
    assert frames.tolist() == expected
    assert heights.tolist() == pytest.approx([log_probs[t, token] for t, token in zip(expected, tokens, strict=True)])


def test_peaks_of_a_token_outside_the_best_take_the_last_of_them():
    log_probs = np.log(np.array([[0.9, 0.05], [0.8, 0.1]], np.float32))
    ids = np.array([[0, 1], [0, 2]], np.int32)
    _, heights = peaks(np.array([7], np.int32), log_probs, ids, log_probs[:, 0])
    assert heights[0] == pytest.approx(np.log(0.1))


def test_peaks_of_no_tokens_are_none():
    frames, heights = peaks(
        np.zeros(0, np.int32), np.zeros((3, 2), np.float32), np.zeros((3, 2), np.int32), np.zeros(3, np.float32)
    )
    assert len(frames) == len(heights) == 0

"""The search against every alignment there is, and against WeNet's."""

import itertools
import json
import math
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_store.predictors.search import greedy, prefix_beam

SOURCES = sorted(path.parent for path in (Path(__file__).parents[2] / "data" / "wenet").glob("*/golden.json"))


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


def _texts_by_prefixes(log_probs: np.ndarray, beam_size: int) -> list[tuple[tuple[int, ...], float]]:
    """Prefix beam search as it is taught: a dictionary of prefixes per frame, in plain probabilities."""
    beam = {(): (1.0, 0.0)}
    for frame in np.exp(log_probs.astype(np.float64)):
        grown: dict[tuple[int, ...], list[float]] = defaultdict(lambda: [0.0, 0.0])
        for unit in np.argsort(-frame, kind="stable")[:beam_size].tolist():
            for prefix, (in_blank, in_unit) in beam.items():
                if unit == 0:
                    grown[prefix][0] += frame[0] * (in_blank + in_unit)
                elif prefix[-1:] == (unit,):
                    grown[prefix][1] += frame[unit] * in_unit
                    grown[(*prefix, unit)][1] += frame[unit] * in_blank
                else:
                    grown[(*prefix, unit)][1] += frame[unit] * (in_blank + in_unit)
        ranked = sorted(grown.items(), key=lambda item: -sum(item[1]))[:beam_size]
        beam = {prefix: (in_blank, in_unit) for prefix, (in_blank, in_unit) in ranked if in_blank + in_unit > 0}
    return [(prefix, math.log(sum(ends))) for prefix, ends in beam.items()]


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
@given(st.lists(st.lists(st.integers(1, 50), min_size=3, max_size=3), min_size=1, max_size=6))
def test_prefix_beam_of_any_probabilities_finds_the_best_text_of_all(weights):
    probabilities = np.array(weights) / np.sum(weights, axis=1, keepdims=True)
    log_probs = np.log(probabilities).astype(np.float32)
    expected = _texts_by_brute_force(log_probs)
    best = prefix_beam(*_best_first(log_probs, 3), 600)[0]
    assert expected[best.tokens] == pytest.approx(max(expected.values()), rel=1e-5)
    assert math.exp(best.score) == pytest.approx(max(expected.values()), rel=1e-5)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(2, 9), st.integers(1, 12), st.floats(0.1, 4.0))
def test_prefix_beam_of_any_width_looks_at_so_many_units_and_keeps_so_many_texts(
    seed, n_frames, n_units, beam_size, sharpness
):
    log_probs = _log_probs(seed, n_frames, n_units, sharpness)
    expected = _texts_by_prefixes(log_probs, beam_size)
    # The graph may offer more units than there is use for.
    found = prefix_beam(*_best_first(log_probs, n_units), beam_size)
    assert [path.score for path in found] == pytest.approx([score for _, score in expected], abs=1e-4)
    gaps = [math.inf, *(above[1] - below[1] for above, below in itertools.pairwise(expected)), math.inf]
    for path, (prefix, _), above, below in zip(found, expected, gaps[:-1], gaps[1:], strict=True):
        assert path.tokens == prefix or min(above, below) < 1e-4


def test_prefix_beam_without_the_blank_among_a_frames_best_forces_it_in_nowhere():
    log_probs = np.log(np.array([[0.1, 0.6, 0.3], [0.1, 0.2, 0.7]], np.float32))
    assert [path.tokens for path in prefix_beam(*_best_first(log_probs, 3), 2)] == [(1, 2), (2,)]


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


def _utterances(source: Path) -> Iterator[tuple[np.ndarray, dict[str, Any]]]:
    """WeNet's log-probabilities of each utterance, and what it found in them."""
    arrays, answers = np.load(source / "golden.npz"), json.loads((source / "golden.json").read_text())
    for row, n_frames in enumerate(arrays["encoder_lens"]):
        yield arrays["ctc_logprobs"][row, :n_frames], {name: answers[name][row] for name in ("greedy", "prefix_beam5")}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_searches_of_wenets_log_probs_equal_wenet(source):
    for log_probs, expected in _utterances(source):
        assert list(greedy(*_best_first(log_probs, 5)).tokens) == expected["greedy"]
        found = prefix_beam(*_best_first(log_probs, 16), 5)
        assert [list(path.tokens) for path in found] == [answer["tokens"] for answer in expected["prefix_beam5"]]
        scores = [answer["score"] for answer in expected["prefix_beam5"]]
        assert [path.score for path in found] == pytest.approx(scores, abs=1e-3)

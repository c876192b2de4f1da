"""Tokens with frames become words with times."""

import itertools
import math

import pytest

from model_store.predictors.tokens import TokenTable
from model_store.predictors.words import confidence_of, spans_of, words_of

TABLE = TokenTable(("<blank>", "<unk>", "我", "爱", "▁HELLO", "▁WOR", "LD", "▁", "a", "b"))


def _words(symbols: list[str], frames: list[int], probabilities: list[float] | None = None):
    tokens = [TABLE.symbols.index(symbol) for symbol in symbols]
    log_probs = [math.log(p) for p in probabilities or [0.5] * len(tokens)]
    return words_of(tokens, frames, log_probs, TABLE, 10.0)


@pytest.mark.parametrize(
    ("symbols", "texts"),
    [
        (["我", "爱"], ["我", "爱"]),
        (["▁HELLO", "▁WOR", "LD"], ["HELLO", "WORLD"]),
        (["我", "▁HELLO", "爱"], ["我", "HELLO", "爱"]),
        (["a", "b", "▁", "b", "a"], ["ab", "ba"]),
        (["我", "a", "b"], ["我", "ab"]),
        (["<unk>"], []),
        ([], []),
    ],
)
def test_words_of_groups_by_spaces_and_characters(symbols, texts):
    assert [word.text for word in _words(symbols, list(range(0, 5 * len(symbols), 5)))] == texts


def test_words_of_takes_times_from_first_to_last_token():
    word = _words(["▁WOR", "LD"], [10, 20])[0]
    assert word.start_s == pytest.approx(0.4425 - 0.1, abs=1e-3)
    assert word.end_s == pytest.approx(0.8425 + 0.1, abs=1e-3)


def test_words_of_confidence_is_the_geometric_mean_of_its_characters():
    assert _words(["a", "b"], [1, 2], [0.9, 0.4])[0].confidence == pytest.approx(math.sqrt(0.9 * 0.4))


def test_spans_of_neighbours_meet_in_the_middle_and_stay_inside_the_clip():
    spans = spans_of([0, 1, 2, 50], 2.05)
    assert spans[0][0] == 0.0
    assert spans[-1][1] == 2.05
    assert all(start < end for start, end in spans)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))


def test_confidence_of_stays_between_zero_and_one():
    assert confidence_of([]) == 0.0
    assert confidence_of([0.0, 1e-9]) == 1.0
    assert 0.0 < confidence_of([-3.0]) < 1.0

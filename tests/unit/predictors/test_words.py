"""Tokens with frames become words with times."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_store.artifacts.manifest import TransformerShape
from model_store.predictors.tokens import TokenTable
from model_store.predictors.words import FrameTimes, confidence_of, words_of

TABLE = TokenTable(
    ("<blank>", "<unk>", "我", "爱", "▁HELLO", "▁WOR", "LD", "▁", "a", "b", "<space>", "<0xE4>", "<0xB8>", "<0x80>")
)
TIMES = FrameTimes(first_s=0.0425, step_s=0.04)


def _times(subsampling: str) -> FrameTimes:
    return FrameTimes.of(
        TransformerShape(
            n_mels=80, size=4, heads=1, linear_units=4, blocks=1, subsampling=subsampling, positions="absolute",
            activation="relu", norm_epsilon=1e-5,
        )
    )  # fmt: skip


def _words(symbols: list[str], frames: list[int], probabilities: list[float] | None = None):
    tokens = [TABLE.symbols.index(symbol) for symbol in symbols]
    log_probs = [math.log(p) for p in probabilities or [0.5] * len(tokens)]
    return words_of(tokens, TIMES.spans(frames, 10.0), log_probs, TABLE)


@pytest.mark.parametrize(
    ("symbols", "texts"),
    [
        (["我", "爱"], ["我", "爱"]),
        (["▁HELLO", "▁WOR", "LD"], ["HELLO", "WORLD"]),
        (["我", "▁HELLO", "爱"], ["我", "HELLO", "爱"]),
        (["a", "b", "▁", "b", "a"], ["ab", "ba"]),
        (["我", "a", "b"], ["我", "ab"]),
        (["a", "<space>", "b", "<unk>", "a"], ["a", "ba"]),
        (["a", "<0xE4>", "<0xB8>", "<0x80>", "b"], ["a", "一", "b"]),
        (["a", "<0xE4>", "b"], ["a\ufffdb"]),
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


def test_words_of_a_character_of_bytes_lasts_from_the_first_to_the_last_and_is_as_sure_as_all():
    (word,) = _words(["<0xE4>", "<0xB8>", "<0x80>"], [10, 20, 30], [0.9, 0.5, 0.1])
    assert (word.start_s, word.end_s) == pytest.approx((0.4425 - 0.1, 1.2425 + 0.1), abs=1e-3)
    assert word.confidence == pytest.approx((0.9 * 0.5 * 0.1) ** (1 / 3))


def test_words_of_confidence_is_the_geometric_mean_of_its_characters():
    assert _words(["a", "b"], [1, 2], [0.9, 0.4])[0].confidence == pytest.approx(math.sqrt(0.9 * 0.4))


@given(st.lists(st.integers(2, len(TABLE.symbols) - 1), max_size=12))
def test_words_of_any_units_make_the_text_and_follow_one_another(tokens):
    words = words_of(tokens, TIMES.spans(range(0, 3 * len(tokens), 3), 9.0), [-0.5] * len(tokens), TABLE)
    assert "".join(word.text for word in words) == TABLE.text(tokens).replace(" ", "")
    edges = [edge for word in words for edge in (word.start_s, word.end_s)]
    assert edges == sorted(edges)


@pytest.mark.parametrize(
    ("subsampling", "step_s", "kernels"), [("conv2d", 0.04, 7), ("conv2d6", 0.06, 11), ("conv2d8", 0.08, 15)]
)
def test_frame_times_are_in_the_middle_of_what_a_frame_sees(subsampling, step_s, kernels):
    times = _times(subsampling)
    # The first frame sees feature frames 0 to kernels - 1: windows of 25 ms, 10 ms apart.
    assert times.first_s == pytest.approx((0 + (kernels - 1) * 0.01 + 0.025) / 2)
    assert times.step_s == pytest.approx(step_s)
    (span,) = times.spans([10], 10.0)
    assert sum(span) / 2 == pytest.approx(times.first_s + 10 * step_s)


def test_spans_of_neighbours_meet_in_the_middle_and_stay_inside_the_clip():
    spans = TIMES.spans([0, 1, 2, 50], 2.05)
    assert spans[0][0] == 0.0
    assert spans[-1][1] == 2.05
    assert all(start < end for start, end in spans)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))


def test_confidence_of_stays_between_zero_and_one():
    assert confidence_of([]) == 0.0
    assert confidence_of([0.0, 1e-9]) == 1.0
    assert 0.0 < confidence_of([-3.0]) < 1.0

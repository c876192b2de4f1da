"""Greedy reading and error rates, against brute force."""

from __future__ import annotations

import random
from functools import cache
from itertools import groupby

import numpy as np
import pytest

from model_store.starter.scoring import (
    BLANK,
    calibration_error,
    character_error_rate,
    collapse,
    edit_distance,
    error_rate,
    rate_of,
    tokens_of,
)


def brute_force_distance(truth: str, reading: str) -> int:
    @cache
    def distance(i: int, j: int) -> int:
        if i == 0 or j == 0:
            return i + j
        substituted = distance(i - 1, j - 1) + (truth[i - 1] != reading[j - 1])
        return min(substituted, distance(i - 1, j) + 1, distance(i, j - 1) + 1)

    return distance(len(truth), len(reading))


def test_edit_distance_of_random_texts_matches_brute_force() -> None:
    rng = random.Random(4)
    for _ in range(300):
        truth, reading = ("".join(rng.choices("abc", k=rng.randint(0, 7))) for _ in range(2))
        assert edit_distance(truth, reading) == brute_force_distance(truth, reading)


def test_collapse_of_random_frames_matches_grouping() -> None:
    rng = random.Random(5)
    for _ in range(200):
        frames = rng.choices(range(4), k=rng.randint(0, 12))
        assert collapse(frames) == [unit for unit, _ in groupby(frames) if unit != BLANK]


def test_collapse_with_a_blank_between_keeps_both() -> None:
    assert collapse([5, 5, 0, 5, 7, 7]) == [5, 5, 7]


def test_error_rate_counts_characters_over_all_utterances() -> None:
    assert character_error_rate(["天气好", "你好"], ["天气", "你号"]) == pytest.approx(2 / 5)


def test_error_rate_of_nothing_is_zero() -> None:
    assert character_error_rate([], []) == 0.0


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("今天 天气，好！", ["今", "天", "天", "气", "好"]),
        ("Hello,  World", ["hello", "world"]),
        ("it’s John's", ["it's", "john's"]),
        ("把这个Email发给peter吧", ["把", "这", "个", "email", "发", "给", "peter", "吧"]),
        ("ＡＢＣ　一", ["abc", "一"]),
        ("呢個係乜嘢㗎", list("呢個係乜嘢㗎")),
        ("... ，", []),
    ],
)
def test_tokens_are_words_and_chinese_characters(text: str, tokens: list[str]) -> None:
    assert tokens_of(text) == tokens


def test_error_rate_counts_words_in_english_and_characters_in_chinese() -> None:
    rate = error_rate(["the cat sat", "你好吗"], ["the cat sat down", "你号"])
    assert (rate.errors, rate.tokens) == (3, 6)
    assert rate.rate == pytest.approx(0.5)


def test_interval_of_a_share_is_about_the_one_of_the_binomial() -> None:
    rng = np.random.default_rng(3)
    errors = (rng.random(1000) < 0.2).astype(int)
    rate = rate_of(errors, np.ones(1000, int))
    half = 1.96 * np.sqrt(rate.rate * (1 - rate.rate) / 1000)
    assert rate.low == pytest.approx(rate.rate - half, abs=0.004)
    assert rate.high == pytest.approx(rate.rate + half, abs=0.004)


def test_interval_with_the_same_errors_is_the_same_and_of_no_errors_is_nothing() -> None:
    assert rate_of([1, 0, 2, 0], [5, 5, 5, 5]) == rate_of([1, 0, 2, 0], [5, 5, 5, 5])
    assert rate_of([0, 0], [3, 4]).high == 0.0


def test_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(8)
    held = 0
    for _ in range(100):
        lengths = rng.integers(5, 20, 150)
        rate = rate_of(rng.binomial(lengths, 0.1), lengths)
        held += rate.low <= 0.1 <= rate.high
    assert held >= 86


def test_calibration_error_is_the_gap_between_confidence_and_accuracy() -> None:
    assert calibration_error([0.95] * 20, [True] * 19 + [False]) == pytest.approx(0.0)
    assert calibration_error([1.0] * 10, [True] * 5 + [False] * 5) == pytest.approx(0.5)
    assert calibration_error([0.55] * 10 + [0.95] * 10, [False] * 10 + [True] * 10) == pytest.approx(0.3)

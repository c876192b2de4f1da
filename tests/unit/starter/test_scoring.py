"""Greedy reading and error rates, against brute force."""

from __future__ import annotations

import random
from functools import cache
from itertools import groupby

import pytest

from model_store.starter.scoring import BLANK, character_error_rate, collapse, edit_distance


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

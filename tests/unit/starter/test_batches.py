"""Batches and distortions."""

from __future__ import annotations

import random

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from model_store.starter.batches import Distortion, by_length, padded  # noqa: E402

MEAN = np.full(80, 7.0, np.float32)


def features(n_frames: int) -> np.ndarray:
    return np.random.default_rng(n_frames).normal(10, 2, (n_frames, 80)).astype(np.float32)


def test_by_length_uses_every_item_once_and_groups_like_with_like() -> None:
    lengths = [random.Random(i).randint(100, 900) for i in range(103)]
    groups = by_length(lengths, 10, random.Random(1), is_sorted=False)
    assert sorted(item for group in groups for item in group) == list(range(103))
    spread = [max(lengths[i] for i in group) / min(lengths[i] for i in group) for group in groups]
    assert float(np.median(spread)) < 1.5
    assert groups != by_length(lengths, 10, random.Random(2), is_sorted=False)


def test_by_length_sorted_puts_short_items_first() -> None:
    groups = by_length([500, 100, 900, 300], 2, random.Random(1), is_sorted=True)
    assert [set(group) for group in groups] == [{1, 3}, {0, 2}]


def test_padded_puts_zeros_behind() -> None:
    batch, lengths = padded([features(3), features(5)])
    assert batch.shape == (2, 5, 80)
    assert lengths.tolist() == [3, 5]
    assert not batch[0, 3:].any()


def test_distortion_without_strength_changes_nothing() -> None:
    x = features(200)
    np.testing.assert_allclose(Distortion(MEAN)(x, 0.0, random.Random(1)), x, atol=1e-5)


def test_distortion_changes_a_copy_repeatably() -> None:
    x = features(200)
    before = x.copy()
    changed = Distortion(MEAN)(x, 1.0, random.Random(1))
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(changed, Distortion(MEAN)(x, 1.0, random.Random(1)))
    assert changed.shape == x.shape
    assert changed.dtype == np.float32
    assert np.abs(changed - x).max() > 0.5


@pytest.mark.parametrize("n_frames", [1, 7, 20, 21])
def test_distortion_of_a_short_clip_keeps_its_shape(n_frames: int) -> None:
    for seed in range(30):
        assert Distortion(MEAN)(features(n_frames), 1.0, random.Random(seed)).shape == (n_frames, 80)

"""Clips into padded batches, and the small distortions that make a few voices sound like many."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model_store.predictors.features import Float32Array

TIME_MASKS, TIME_MASK_FRAMES = 2, 20
MEL_MASKS, MEL_MASK_BINS = 2, 12
# The mel axis is stretched about as far as vocal tracts differ; log mel moves by this much in loudness and in tilt.
WARP, GAIN, TILT = 0.08, 1.5, 1.0

Change = Callable[[Float32Array, random.Random], Float32Array]


@dataclass(frozen=True)
class Distortion:
    """SpecAugment (Park et al. 2019) with warping of the mel axis, gain and tilt; `mean` (80,) fills what is masked."""

    mean: Float32Array

    def __call__(self, features: Float32Array, strength: float, rng: random.Random) -> Float32Array:
        """features: (T, 80), raw log mel; strength: 0 (leave it alone) to 1. Returns a changed copy."""
        x = _warp(features, 1.0 + strength * rng.uniform(-WARP, WARP))
        tilt = np.linspace(-1.0, 1.0, x.shape[1], dtype=np.float32) * rng.uniform(-TILT, TILT)
        x = x + strength * (tilt + np.float32(rng.uniform(-GAIN, GAIN)))
        for _ in range(MEL_MASKS):
            start = rng.randint(0, x.shape[1] - MEL_MASK_BINS)
            end = start + round(strength * rng.randint(0, MEL_MASK_BINS))
            x[:, start:end] = self.mean[start:end]
        for _ in range(TIME_MASKS):
            start = rng.randint(0, max(1, len(x) - TIME_MASK_FRAMES))
            x[start : start + round(strength * rng.randint(0, TIME_MASK_FRAMES))] = self.mean
        return x


def _warp(features: Float32Array, factor: float) -> Float32Array:
    """Read the mel axis at `factor` times its positions, between bins linearly."""
    last = features.shape[1] - 1
    where = np.minimum(np.arange(last + 1, dtype=np.float32) * factor, last)
    low = np.minimum(where.astype(np.int64), last - 1)
    share = (where - low).astype(np.float32)
    warped: Float32Array = features[:, low] * (1 - share) + features[:, low + 1] * share
    return warped


def by_length(lengths: Sequence[int], size: int, rng: random.Random, is_sorted: bool) -> list[list[int]]:
    """Group items of about the same length, differently each time; short ones come first or in any order."""
    order = sorted(range(len(lengths)), key=lambda item: lengths[item] * rng.uniform(0.93, 1.07))
    groups = [order[start : start + size] for start in range(0, len(order), size)]
    if not is_sorted:
        rng.shuffle(groups)
    return groups


def padded(features: Sequence[Float32Array]) -> tuple[Tensor, Tensor]:
    """Stack (T, 80) features to (B, max T, 80) float32 with zeros behind, and their lengths (B,)."""
    lengths = [len(item) for item in features]
    batch = np.zeros((len(features), max(lengths), features[0].shape[1]), dtype=np.float32)
    for row, item in zip(batch, features, strict=True):
        row[: len(item)] = item
    return torch.from_numpy(batch), torch.tensor(lengths)

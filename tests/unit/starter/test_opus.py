"""Ogg Opus and back."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("soxr")

from model_store.errors import ArtifactCorrupt
from model_store.starter import opus


def sweep(n_samples: int) -> np.ndarray:
    times = np.arange(n_samples) / 16000
    return (0.5 * np.sin(2 * np.pi * (300 + 700 * times) * times)).astype(np.float32)


@pytest.mark.parametrize("n_samples", [8000, 16000, 31999])
def test_decoded_clip_has_its_length_its_place_and_its_shape(n_samples: int) -> None:
    x = sweep(n_samples)
    y = opus.decode(opus.encode(x), n_samples)
    assert (y.shape, y.dtype) == ((n_samples,), np.float32)
    at = [float((x[200 : n_samples - 200] * y[200 + d : n_samples - 200 + d]).sum()) for d in range(-100, 101)]
    assert abs(int(np.argmax(at)) - 100) <= 1
    assert np.corrcoef(x, y)[0, 1] > 0.9


def test_encoded_clip_is_as_small_as_its_bit_rate_says() -> None:
    x = (0.1 * np.random.default_rng(1).standard_normal(16000 * 5)).astype(np.float32)
    assert len(opus.encode(x, 14000)) * 8 / 5 == pytest.approx(14000, rel=0.25)


def test_decode_of_something_else_says_so() -> None:
    with pytest.raises(ArtifactCorrupt, match="cannot be decoded"):
        opus.decode(b"no audio at all", 100)

"""Sounds without speech."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("soxr")

from model_store.starter import sounds


@pytest.mark.parametrize("sound", sounds.SOUNDS, ids=lambda sound: sound.__name__)
def test_sound_of_any_length_is_finite_in_range_and_repeatable(sound: sounds.Sound) -> None:
    for seed, n_samples in enumerate([16000, 23457, 100000]):
        x = sound(n_samples, np.random.default_rng(seed))
        assert x.shape == (n_samples,)
        assert x.dtype == np.float32
        assert np.isfinite(x).all()
        assert np.abs(x).max() <= 1.0
        np.testing.assert_array_equal(x, sound(n_samples, np.random.default_rng(seed)))


def test_babble_of_short_voices_fills_its_length() -> None:
    voices = [np.sin(np.arange(500 * i) / 7).astype(np.float32) for i in (1, 2, 3)]
    x = sounds.babble(16000, np.random.default_rng(1), voices)
    assert x.shape == (16000,)
    assert np.abs(x[-1000:]).max() > 0

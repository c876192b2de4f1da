"""Staging speech: silences, loudness and noise, and what happens without espeak-ng."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("soxr")

from model_store.errors import ImportFailed
from model_store.starter import speech

SCENE = speech.Scene(lead_s=0.25, pause_s=0.5, trail_s=0.125, peak=0.5, snr_db=None, seed=1)
SPEAKER = speech.Speaker("cmn-latn-pinyin", "f1", 200, 50)


def beep(n_samples: int = 1600) -> np.ndarray:
    return np.sin(np.arange(n_samples) / 5).astype(np.float32)


def test_stage_of_two_parts_has_their_silences_and_the_peak_asked_for() -> None:
    pcm = speech.stage([beep(), beep()], SCENE)
    assert pcm.dtype == np.int16
    assert pcm.size == 4000 + 1600 + 8000 + 1600 + 2000
    assert not pcm[:4000].any()
    assert not pcm[5600:13600].any()
    assert np.abs(pcm).max() == pytest.approx(0.5 * 32767, rel=0.01)


@pytest.mark.parametrize("snr_db", [10.0, 30.0])
def test_stage_with_noise_has_the_ratio_asked_for(snr_db: float) -> None:
    clean = speech.stage([beep(16000)], SCENE).astype(np.float64)
    noisy = speech.stage([beep(16000)], replace(SCENE, snr_db=snr_db)).astype(np.float64)
    ratio = 10 * np.log10((clean**2).mean() / (noisy - clean).var())
    assert ratio == pytest.approx(snr_db, abs=0.5)


def test_stage_with_the_same_seed_is_the_same() -> None:
    scene = replace(SCENE, snr_db=10.0)
    np.testing.assert_array_equal(speech.stage([beep()], scene), speech.stage([beep()], scene))
    assert (speech.stage([beep()], scene) != speech.stage([beep()], replace(scene, seed=2))).any()


def test_noise_of_any_colour_has_unit_deviation() -> None:
    for seed in range(10):
        assert speech.noise(16000, np.random.default_rng(seed)).std() == pytest.approx(1.0, rel=0.01)


def test_voices_of_training_and_heldout_share_none() -> None:
    assert not set(speech.TRAINING_VARIANTS) & set(speech.HELDOUT_VARIANTS)
    assert len(set(speech.TRAINING_VARIANTS)) == len(speech.TRAINING_VARIANTS)


def test_speak_without_espeak_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(ImportFailed, match="apt install espeak-ng"):
        speech.speak("你好", SPEAKER)


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is needed to train, never to serve")
def test_speak_of_a_sentence_lasts_about_as_long_as_speech_does() -> None:
    x = speech.speak("今天北京的天气怎么样", SPEAKER)
    assert 1.0 < x.size / speech.SAMPLE_RATE_HZ < 6.0
    assert 0.05 < np.abs(x).max() <= 1.0

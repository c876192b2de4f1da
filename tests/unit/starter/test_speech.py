"""Staging speech: silences, loudness and noise, and what happens without espeak-ng."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("soxr")

from model_store.errors import ImportFailed
from model_store.starter import speech

SCENE = speech.Scene(lead_s=0.25, pause_s=0.5, trail_s=0.125, peak=0.5)
SPEAKER = speech.Speaker("zh", "f1", 200, 50)
NEEDS_ESPEAK = pytest.mark.skipif(
    shutil.which("espeak-ng") is None, reason="espeak-ng is needed to train, never to serve"
)


def beep(n_samples: int = 1600) -> np.ndarray:
    return np.sin(np.arange(n_samples) / 5).astype(np.float32)


def test_stage_of_two_parts_has_their_silences_and_the_peak_asked_for() -> None:
    pcm = speech.stage([beep(), beep()], SCENE)
    assert pcm.dtype == np.float32
    assert pcm.size == 4000 + 1600 + 8000 + 1600 + 2000
    assert not pcm[:4000].any()
    assert not pcm[5600:13600].any()
    assert np.abs(pcm).max() == pytest.approx(0.5, rel=0.01)


def test_noise_of_any_colour_has_unit_deviation() -> None:
    for seed, n_samples in enumerate([16000, 8192, 23456, 40001]):
        noise = speech.noise(n_samples, np.random.default_rng(seed))
        assert noise.shape == (n_samples,)
        assert noise.std() == pytest.approx(1.0, rel=0.01)


def test_voices_of_training_heldout_and_frozen_sets_share_none() -> None:
    kinds = (speech.TRAINING_VARIANTS, speech.HELDOUT_VARIANTS, speech.FROZEN_VARIANTS)
    assert len({variant for kind in kinds for variant in kind}) == sum(map(len, kinds))
    assert len(speech.FROZEN_VARIANTS) >= 8


def test_speak_without_espeak_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(ImportFailed, match="apt install espeak-ng"):
        speech.speak("你好", SPEAKER)


@NEEDS_ESPEAK
def test_voices_that_are_named_are_all_there() -> None:
    told = subprocess.run(["espeak-ng", "--voices=variant"], capture_output=True, text=True, check=True).stdout
    there = {file for _, _, file in re.findall(r"(\S+) +(!v|\S+ +!v)/(\S+)", told)}
    assert {*speech.TRAINING_VARIANTS, *speech.HELDOUT_VARIANTS, *speech.FROZEN_VARIANTS} <= there


@NEEDS_ESPEAK
def test_speak_of_a_sentence_lasts_about_as_long_as_speech_does() -> None:
    x = speech.speak("今天北京的天气怎么样", SPEAKER)
    assert 1.0 < x.size / speech.SAMPLE_RATE_HZ < 6.0
    assert 0.05 < np.abs(x).max() <= 1.0


@NEEDS_ESPEAK
def test_speak_of_two_languages_says_each_part_in_its_own() -> None:
    both = speech.speak("请把email发给我", replace(SPEAKER, language="zh-en"))
    parts = [speech.speak("请把", SPEAKER), speech.speak("email", replace(SPEAKER, language="en"))]
    parts.append(speech.speak("发给我", SPEAKER))
    spoken = sum(np.flatnonzero(np.abs(part) > 0.001).size for part in parts)
    assert np.flatnonzero(np.abs(both) > 0.001).size == pytest.approx(spoken, rel=0.1)
    # No pause longer than a plosive's anywhere inside.
    loud = np.flatnonzero(np.abs(both) > 0.001)
    assert np.diff(loud).max() < 0.2 * speech.SAMPLE_RATE_HZ

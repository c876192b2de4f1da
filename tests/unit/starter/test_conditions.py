"""Noise, crowds, telephone lines and cuts."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest

pytest.importorskip("soxr")

from model_store.starter import conditions

RATE_HZ = 16000


def hum(n_samples: int = 16000, hz: float = 440.0, peak: float = 0.5) -> np.ndarray:
    return (peak * np.sin(2 * np.pi * hz * np.arange(n_samples) / RATE_HZ)).astype(np.float32)


def power(x: np.ndarray) -> float:
    return float((x.astype(np.float64) ** 2).mean())


def through_ffmpegs_mulaw(samples: np.ndarray) -> np.ndarray:
    """int16 through another implementation of the codec."""
    file = io.BytesIO()
    with av.open(file, "w", format="wav") as container:
        stream = container.add_stream("pcm_mulaw", rate=8000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = 8000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    file.seek(0)
    with av.open(file) as container:
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])


def test_companded_is_what_another_mulaw_codec_says() -> None:
    samples = np.arange(-32000, 32000, 7).astype(np.int16)
    ours = conditions.companded(samples.astype(np.float32) / 32768)
    theirs = through_ffmpegs_mulaw(samples) / 32768
    # Where a sample lies between two values either may be taken, and they are a step apart.
    step = np.maximum(np.abs(theirs) / 10, 8.01 / 32768)
    assert (np.abs(ours - theirs) <= step).all()
    assert (np.abs(ours - theirs) < 1e-6).mean() > 0.98


def test_companded_again_changes_nothing() -> None:
    once = conditions.companded(hum())
    np.testing.assert_array_equal(conditions.companded(once), once)
    assert len(np.unique(np.abs(conditions.companded(np.linspace(-1, 1, 60001, dtype=np.float32))))) == 128


def test_telephone_keeps_the_length_and_only_what_a_line_carries() -> None:
    for n_samples in (16000, 16001, 12345):
        assert conditions.telephone(hum(n_samples)).shape == (n_samples,)
    assert power(conditions.telephone(hum(hz=1000))) == pytest.approx(power(hum(hz=1000)), rel=0.05)
    assert power(conditions.telephone(hum(hz=6000))) < 0.001 * power(hum(hz=6000))


@pytest.mark.parametrize("snr_db", [10.0, 20.0])
def test_noise_and_crowd_have_the_ratio_asked_for(snr_db: float) -> None:
    clean = hum()
    voices = [hum(5000 + 1000 * i, 200 + 50 * i) for i in range(8)]
    for loud in (
        conditions.noisy(clean, snr_db, np.random.default_rng(1)),
        conditions.babbled(clean, voices, snr_db, np.random.default_rng(1)),
    ):
        assert 10 * np.log10(power(clean) / power(loud - clean)) == pytest.approx(snr_db, abs=0.1)


def test_mixed_with_silence_stays_finite() -> None:
    assert np.isfinite(conditions.mixed(np.zeros(100, np.float32), hum(100), 10.0)).all()
    np.testing.assert_array_equal(conditions.mixed(hum(100), np.zeros(100, np.float32), 10.0), hum(100))


@pytest.mark.parametrize("name", conditions.CONDITIONS)
def test_heard_through_with_the_same_seed_is_the_same(name: str) -> None:
    clips = [hum(32000 + 160 * i, 300 + 40 * i) for i in range(5)]
    once, again = (conditions.heard_through(name, clips, seed=4) for _ in range(2))
    for one, other, clip in zip(once, again, clips, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == np.float32
        assert np.abs(one).max() <= 1.0
        assert one.size == (24000 if name == "first" else clip.size)


def test_heard_through_another_seed_has_other_noise() -> None:
    first, second = (conditions.heard_through("noise10", [hum()], seed=seed)[0] for seed in (1, 2))
    assert (first != second).any()

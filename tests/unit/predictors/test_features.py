"""The filter bank, against the textbook computation written out in numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from model_store.predictors.features import KALDI_FLOOR, OTHER_FLOORS, Fbank, resampled

Array = npt.NDArray[np.float64]
REFERENCE = np.load(Path(__file__).parents[2] / "data" / "fbank" / "reference.npz")


def kaldi_fbank(pcm: npt.NDArray[np.float32], n_mels: int = 80) -> Array:
    """Kaldi's `compute-fbank-feats` with WeNet's options, one step after the other."""
    window, shift, size = 400, 160, 512
    n_frames = 1 + (len(pcm) - window) // shift
    frames = np.stack([pcm[i * shift : i * shift + window] for i in range(n_frames)]).astype(np.float64) * 32768
    frames -= frames.mean(1, keepdims=True)
    frames -= 0.97 * np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    frames *= (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / (window - 1))) ** 0.85
    power = np.abs(np.fft.rfft(frames, size)) ** 2
    energies = power[:, : size // 2] @ mel_triangles(n_mels, size).T
    return np.asarray(np.log(np.maximum(energies, np.finfo(np.float32).eps)))


def mel_triangles(n_mels: int, size: int) -> Array:
    """(n_mels, size / 2): triangles even on the mel scale from 20 Hz to 8 kHz."""

    def mel(hz: npt.ArrayLike) -> Array:
        return np.asarray(1127.0 * np.log(1.0 + np.asarray(hz, dtype=np.float64) / 700.0))

    edges = np.linspace(mel(20.0), mel(8000.0), n_mels + 2)[:, None]
    bins = mel(np.arange(size // 2) * 16000.0 / size)[None]
    up = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    down = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.asarray(np.maximum(0.0, np.minimum(up, down)))


def voice_like(n_samples: int, seed: int = 3) -> npt.NDArray[np.float32]:
    times = np.arange(n_samples) / 16000
    noise = np.random.default_rng(seed).normal(0, 0.02, n_samples)
    return (0.3 * np.sin(2 * np.pi * 220 * times) + 0.1 * np.sin(2 * np.pi * 1900 * times) + noise).astype(np.float32)


def test_fbank_of_a_second_matches_kaldis_steps() -> None:
    pcm = voice_like(16000)
    features = Fbank()(pcm)
    assert features.dtype == np.float32
    assert features.shape == (98, 80)
    np.testing.assert_allclose(features, kaldi_fbank(pcm), atol=2e-3)


@pytest.mark.parametrize("rate_hz", [16000, 8000])
@pytest.mark.parametrize(("maker", "floor"), [("wenet", KALDI_FLOOR), ("paddlespeech", OTHER_FLOORS["paddlespeech"])])
def test_fbank_with_the_floor_of_its_maker_equals_its_makers(maker: str, floor: float, rate_hz: int) -> None:
    pcm = REFERENCE[f"pcm_{rate_hz}"].astype(np.float32) / 32768
    expected = REFERENCE[f"{maker}_{rate_hz}"]
    np.testing.assert_allclose(Fbank(rate_hz, floor=floor)(pcm), expected, atol=1e-3)


@pytest.mark.parametrize("n_samples", [0, 1, 399, 400, 559, 560, 16000, 16001, 23456])
def test_frames_of_any_length_counts_the_frames_that_come(n_samples: int) -> None:
    fbank = Fbank()
    assert fbank(voice_like(n_samples)).shape == (fbank.frames_of(n_samples), 80)


def test_frames_of_one_window_and_one_shift_is_two() -> None:
    assert [Fbank().frames_of(n) for n in (399, 400, 559, 560)] == [0, 1, 1, 2]


def test_fbank_of_double_amplitude_rises_by_the_log_of_four() -> None:
    pcm = voice_like(8000)
    np.testing.assert_allclose(Fbank()(2 * pcm) - Fbank()(pcm), np.log(4.0), atol=1e-3)


def test_fbank_of_silence_is_finite() -> None:
    assert np.isfinite(Fbank()(np.zeros(16000, np.float32))).all()


def test_fbank_without_dither_is_the_same_twice_and_with_it_is_not() -> None:
    pcm = voice_like(16000)
    np.testing.assert_array_equal(Fbank()(pcm), Fbank()(pcm))
    assert np.abs(Fbank(dither=1.0)(np.zeros(16000, np.float32)) - Fbank()(np.zeros(16000, np.float32))).max() > 1


def test_fbank_of_a_cut_is_the_cut_of_the_fbank() -> None:
    pcm = voice_like(16000)
    np.testing.assert_allclose(Fbank()(pcm[1600:11200]), Fbank()(pcm)[10:68], atol=1e-4)


def test_fbank_with_other_bins_and_rate_has_their_shape() -> None:
    fbank = Fbank(sample_rate_hz=8000, n_mels=40)
    assert fbank(voice_like(8000)).shape == (98, 40)


def test_fbank_of_stereo_is_refused() -> None:
    with pytest.raises(ValueError, match="one dimension"):
        Fbank()(np.zeros((100, 2), np.float32))


def test_resampled_speech_to_8_khz_keeps_what_8_khz_can_hold_and_nothing_else() -> None:
    times = np.arange(16000) / 16000
    low, high = (np.sin(2 * np.pi * hz * times).astype(np.float32) for hz in (1000, 6000))
    half = resampled(low + high, 16000, 8000)
    assert (half.dtype, half.shape) == (np.float32, (8000,))
    np.testing.assert_allclose(half[200:-200], low[::2][200:-200], atol=1e-3)


def test_resampled_at_its_own_rate_is_untouched() -> None:
    pcm = voice_like(800)
    assert resampled(pcm, 16000, 16000) is pcm
    assert resampled(pcm[:0], 16000, 8000).shape == (0,)

"""Log mel filter-bank features, the same in training and in serving."""

from __future__ import annotations

from typing import Self

import kaldi_native_fbank as knf
import numpy as np
import numpy.typing as npt
import soxr

from model_store.artifacts.manifest import Manifest

WINDOW_MS = 25
SHIFT_MS = 10
# Kaldi, WeNet and PaddleSpeech work on samples in the range of 16-bit integers; so must the weights' statistics.
INT16_SCALE = 32768.0
# The least energy that a mel bin can have, which is what digital silence has: Kaldi's and so WeNet's; and, by the
# layout of a version's source, what others take instead (paddlespeech/audio/compliance/kaldi.py).
KALDI_FLOOR = float(np.finfo(np.float32).eps)
OTHER_FLOORS = {"paddlespeech": 1e-7}

Float32Array = npt.NDArray[np.float32]


class Fbank:
    """Kaldi's filter bank as WeNet and PaddleSpeech use it: 25 ms povey windows every 10 ms, whole windows only."""

    def __init__(
        self, sample_rate_hz: int = 16000, n_mels: int = 80, dither: float = 0.0, floor: float = KALDI_FLOOR
    ) -> None:
        """Fix the shape of the features; `dither` is in units of 16-bit samples (1.0 in training, 0.0 in serving)."""
        self.sample_rate_hz = sample_rate_hz
        self.n_mels = n_mels
        self._window = sample_rate_hz * WINDOW_MS // 1000
        self._shift = sample_rate_hz * SHIFT_MS // 1000
        self._options = _options(sample_rate_hz, n_mels, dither, floor)

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        """The features that the version was trained on, without dither."""
        floor = OTHER_FLOORS.get(manifest.source.layout, KALDI_FLOOR)
        return cls(manifest.sample_rate_hz, manifest.encoder.n_mels, floor=floor)

    def frames_of(self, n_samples: int) -> int:
        """Say how many feature frames `n_samples` samples give; 0 when they are shorter than one window."""
        return max(0, 1 + (n_samples - self._window) // self._shift) if n_samples >= self._window else 0

    def __call__(self, pcm: npt.ArrayLike) -> Float32Array:
        """Turn mono PCM into features.

        pcm: (N,) float32 in [-1, 1] at `sample_rate_hz`. Returns (T, n_mels) float32, natural log of mel energies
        of int16-scaled samples, T = `frames_of(N)` frames of 10 ms.
        """
        samples = np.asarray(pcm, dtype=np.float32)
        if samples.ndim != 1:
            raise ValueError(f"pcm must have one dimension, got shape {samples.shape}")
        n_frames = self.frames_of(samples.size)
        if n_frames == 0:
            return np.zeros((0, self.n_mels), dtype=np.float32)
        extractor = knf.OnlineFbank(self._options)
        extractor.accept_waveform(self.sample_rate_hz, np.ascontiguousarray(samples * INT16_SCALE))
        extractor.input_finished()
        frames: Float32Array = np.stack([extractor.get_frame(i) for i in range(n_frames)]).astype(np.float32)
        return frames


def resampled(pcm: Float32Array, from_hz: int, to_hz: int) -> Float32Array:
    """The same sound at another rate, free of aliases (soxr's HQ): (N,) float32 -> (N * to_hz / from_hz,) float32."""
    if from_hz == to_hz:
        return pcm
    changed: Float32Array = soxr.resample(pcm, from_hz, to_hz, quality="HQ")
    return changed


def _options(sample_rate_hz: int, n_mels: int, dither: float, floor: float) -> knf.FbankOptions:
    options = knf.FbankOptions()
    options.frame_opts.samp_freq = float(sample_rate_hz)
    options.frame_opts.dither = dither
    options.frame_opts.frame_length_ms = float(WINDOW_MS)
    options.frame_opts.frame_shift_ms = float(SHIFT_MS)
    options.frame_opts.window_type = "povey"
    options.frame_opts.snip_edges = True
    options.mel_opts.num_bins = n_mels
    options.energy_floor = 0.0
    options.eps = floor
    return options

"""Where there is speech: one decision per 30 ms frame, made while the sound streams by."""

import math
import statistics

import numpy as np
import webrtcvad
from numpy.typing import NDArray

from gateway.audio.blocks import Int16Array
from gateway.audio.resample import SAMPLE_RATE_HZ
from gateway.audio.segments import runs
from gateway.audio.settings import AudioSettings

FRAME_S = 0.03
FRAME_SAMPLES = 480
# The detector takes loud hum, tones and noise for speech, and any noise until it knows it. Over a second and more,
# speech rises and falls: the level of its frames deviates by 5 dB, in noise as loud as itself still by 2 dB; hum and
# tones deviate by 0.1 dB, noise by 0.3 to 1.4 dB. (Measured on espeak-ng voices in white and pink noise.)
_STEADY_DB = 1.5
_LONG_FRAMES = 33
_EDGE_FRAMES = 3
# What is shorter must somewhere be louder than what is around it and no speech.
_STANDS_OUT_DB = 4.0
_AROUND_FRAMES = 100
# A click: the detector fires for less than the shortest word, 7 frames with those that it adds, and nothing is near.
_CLICK_FRAMES = 5
_CLICK_REACH_FRAMES = 10

BoolArray = NDArray[np.bool_]


class SpeechFinder:
    """Takes one lane of 16 kHz int16 samples in pieces of any size."""

    def __init__(self, settings: AudioSettings) -> None:
        self._vad = webrtcvad.Vad(settings.vad_mode)
        self._min_level_db = settings.min_level_dbfs
        self._rest = np.zeros(0, np.int16)
        self._flags = bytearray()
        self._levels: list[NDArray[np.float32]] = []

    def add(self, pcm: Int16Array) -> None:
        if len(self._rest):
            pcm = np.concatenate([self._rest, pcm])
        n_samples = len(pcm) - len(pcm) % FRAME_SAMPLES
        self._rest = pcm[n_samples:]
        if n_samples:
            self._judge(pcm[:n_samples])

    def finish(self) -> tuple[BoolArray, NDArray[np.float32]]:
        """Flags and levels (dB relative to full scale) of all frames; the last frame is filled with zeros."""
        if len(self._rest):
            self._judge(np.pad(self._rest, (0, FRAME_SAMPLES - len(self._rest))))
        levels = np.concatenate([np.zeros(0, np.float32), *self._levels])
        flags = np.frombuffer(bytes(self._flags), np.bool_) & (levels >= self._min_level_db)
        return without_clicks(without_noise(flags, levels)), levels

    def _judge(self, pcm: Int16Array) -> None:
        raw = pcm.astype("<i2", copy=False).tobytes()
        is_speech, step = self._vad.is_speech, 2 * FRAME_SAMPLES
        self._flags += bytes(
            [is_speech(raw[at : at + step], SAMPLE_RATE_HZ, FRAME_SAMPLES) for at in range(0, len(raw), step)]
        )
        self._levels.append(_levels_db(pcm))


def _levels_db(pcm: Int16Array) -> NDArray[np.float32]:
    frames = pcm.reshape(-1, FRAME_SAMPLES).astype(np.float64)  # in which these sums are exact
    squares, sums = np.einsum("ij,ij->i", frames, frames), frames.sum(axis=1)
    # About the mean: a microphone's DC offset is no sound.
    power = (squares - sums * sums / FRAME_SAMPLES) / (FRAME_SAMPLES * 32768.0**2)
    levels: NDArray[np.float32] = (10.0 * np.log10(power + 1e-12)).astype(np.float32)
    return levels


def without_noise(flags: BoolArray, levels: NDArray[np.float32]) -> BoolArray:
    """Flags without the long stretches whose level does not move, and the short ones that do not stand out."""
    kept = flags.copy()
    for start, stop in runs(flags):
        if stop - start >= _LONG_FRAMES:
            is_speech = _deviation(levels[start + _EDGE_FRAMES : stop - _EDGE_FRAMES]) >= _STEADY_DB
        else:
            is_speech = _stands_out(start, stop, flags, levels)
        kept[start:stop] = is_speech
    return kept


def _deviation(values: NDArray[np.float32]) -> float:
    # As `values.std()`, which takes three times as long over so few.
    off = values - np.add.reduce(values) / np.float32(len(values))
    return math.sqrt(off.dot(off) / len(off))


def _stands_out(start: int, stop: int, flags: BoolArray, levels: NDArray[np.float32]) -> bool:
    around = slice(max(0, start - _AROUND_FRAMES), stop + _AROUND_FRAMES)
    background = levels[around][~flags[around]]
    if not len(background):
        return True
    stands_out_db: float = levels[start:stop].max() - statistics.median(background.tolist())
    return stands_out_db > _STANDS_OUT_DB


def without_clicks(flags: BoolArray) -> BoolArray:
    """Flags without the runs that are too short for a word and have no other near them."""
    found = runs(flags)
    kept = flags.copy()
    for at, (start, stop) in enumerate(found):
        is_near_before = at > 0 and start - found[at - 1][1] <= _CLICK_REACH_FRAMES
        is_near_after = at + 1 < len(found) and found[at + 1][0] - stop <= _CLICK_REACH_FRAMES
        if stop - start <= _CLICK_FRAMES and not is_near_before and not is_near_after:
            kept[start:stop] = False
    return kept

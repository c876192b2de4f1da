"""What happens to speech on its way: noise, other people's voices, a telephone line, a codec, a cut.

Training meets these in all degrees; the frozen test sets are heard through a few of them, drawn by a fixed seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import soxr

from model_store.starter.sounds import crowd
from model_store.starter.speech import SAMPLE_RATE_HZ, Float32Array, noise, to_int16

TELEPHONE_RATE_HZ = 8000
FIRST_S = 1.5
# G.711, mu-law: a sign, three bits of exponent, four of mantissa, all inverted; 33 is the bias in 14-bit samples.
BIAS = 33
FULL_SCALE = 8192.0


def _levels() -> npt.NDArray[np.float64]:
    """The 128 magnitudes that mu-law can say, in 14-bit samples, ascending (ITU-T G.711, table 2a)."""
    exponent, mantissa = np.divmod(np.arange(128), 16)
    levels: npt.NDArray[np.float64] = ((2 * mantissa + BIAS) << exponent).astype(np.float64) - BIAS
    return levels


LEVELS = _levels()
THRESHOLDS = (LEVELS[1:] + LEVELS[:-1]) / 2


def companded(x: Float32Array) -> Float32Array:
    """Round to what G.711 mu-law can say: to the nearest of its 255 values."""
    magnitudes = LEVELS[np.searchsorted(THRESHOLDS, np.abs(x) * FULL_SCALE)]
    rounded: Float32Array = (np.sign(x) * magnitudes / FULL_SCALE).astype(np.float32)
    return rounded


def telephone(x: Float32Array) -> Float32Array:
    """Send 16 kHz speech over an 8 kHz G.711 line and back; returns as many samples as there were."""
    narrow = soxr.resample(x, SAMPLE_RATE_HZ, TELEPHONE_RATE_HZ).astype(np.float32)
    wide = soxr.resample(companded(np.clip(narrow, -1.0, 1.0)), TELEPHONE_RATE_HZ, SAMPLE_RATE_HZ)
    return np.pad(wide, (0, max(0, x.size - wide.size)))[: x.size].astype(np.float32)


def mixed(x: Float32Array, other: Float32Array, snr_db: float) -> Float32Array:
    """Add `other`, as long as x, so much weaker than x that the ratio of their powers is `snr_db`."""
    powers = [max(1e-12, float((signal.astype(np.float64) ** 2).mean())) for signal in (x, other)]
    both: Float32Array = (x + other * np.sqrt(powers[0] / powers[1]) * 10 ** (-snr_db / 20)).astype(np.float32)
    return both


def noisy(x: Float32Array, snr_db: float, rng: np.random.Generator) -> Float32Array:
    """Add white to brown noise."""
    return mixed(x, noise(x.size, rng), snr_db)


def babbled(x: Float32Array, voices: Sequence[Float32Array], snr_db: float, rng: np.random.Generator) -> Float32Array:
    """Add a crowd, each of it one of `voices` played backwards."""
    return mixed(x, crowd(x.size, rng, voices), snr_db)


Condition = Callable[[Float32Array, Sequence[Float32Array], np.random.Generator], Float32Array]

# What a test set can be heard through: its samples, other clips of the set for the crowd, the seeded generator.
CONDITIONS: dict[str, Condition] = {
    "clean": lambda x, voices, rng: x,
    "g711": lambda x, voices, rng: telephone(x),
    "noise20": lambda x, voices, rng: noisy(x, 20.0, rng),
    "noise10": lambda x, voices, rng: noisy(x, 10.0, rng),
    "babble20": lambda x, voices, rng: babbled(x, voices, 20.0, rng),
    "babble10": lambda x, voices, rng: babbled(x, voices, 10.0, rng),
    "first": lambda x, voices, rng: x[: round(FIRST_S * SAMPLE_RATE_HZ)],
}


def heard_through(name: str, clips: Sequence[Float32Array], seed: int) -> list[Float32Array]:
    """Derive a condition from a set's clips: the same seed gives the same samples, of 16-bit resolution and clipped."""
    condition = CONDITIONS[name]
    derived = []
    for index, clip in enumerate(clips):
        rng = np.random.default_rng((seed, index))
        voices = [clips[int(other)] for other in rng.integers(len(clips), size=12)]
        derived.append(to_int16(condition(clip, voices, rng)).astype(np.float32) / np.float32(32768.0))
    return derived

"""Clips of speech in many lengths: the bundled samples, cut and joined at random, in a room; always the same ones.

The samples' voices are synthetic, and have next to nothing in some mel bins of a loud frame. What little there is, a
spectrum in float32 misses, PaddleSpeech's by up to 3e-3. Where a microphone stands, something is heard in every bin.
"""

from collections.abc import Sequence

import av
import numpy as np
from numpy.typing import NDArray

from model_store.starter.install import SAMPLES_DIR

RATE_HZ = 16_000

Pcm = NDArray[np.int16]

SHORTEST_S, LONGEST_S = 0.3, 6.0
_LOUDNESS = 0.4
# In steps of 16 bits; deep noise, which the features' pre-emphasis makes even over all bins.
_NOISE, _DECAY = 40.0, 0.97 ** np.arange(300)


def clips_of(lengths_s: Sequence[float], seed: int = 0) -> list[Pcm]:
    """A clip of each length, 16 kHz mono."""
    rng = np.random.default_rng(seed)
    samples = [_decoded(path.as_posix()) for path in sorted(SAMPLES_DIR.rglob("*.flac"))]
    return [_clip(samples, round(length_s * RATE_HZ), rng) for length_s in lengths_s]


def lengths(count: int, seed: int = 0) -> list[float]:
    """So many lengths in seconds, as often from one to two seconds as from two to four."""
    low, high = np.log([SHORTEST_S, LONGEST_S])
    return list(np.exp(np.random.default_rng(seed).uniform(low, high, count)))


def _clip(samples: list[Pcm], n_samples: int, rng: np.random.Generator) -> Pcm:
    parts = [samples[i] for i in rng.permutation(len(samples))]
    skipped = int(rng.integers(len(parts[0]) // 2))
    speech = np.concatenate(parts)[skipped : skipped + n_samples]
    room = np.convolve(rng.normal(0.0, _NOISE, n_samples + len(_DECAY) - 1), _DECAY, "valid")
    return np.clip(np.rint(_LOUDNESS * speech + room), -32768, 32767).astype(np.int16)


def _decoded(path: str) -> Pcm:
    with av.open(path) as file:
        return np.concatenate([frame.to_ndarray().reshape(-1) for frame in file.decode(audio=0)]).astype(np.int16)

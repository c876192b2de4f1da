"""The requests that a version has answered when its memory is told: bundled samples, cut to many lengths."""

import random
from collections.abc import Iterator
from typing import Final

import numpy as np

from gateway.bench.recordings import clips_of
from model_store.predictors.predictor import PCM_RATE_HZ, FloatArray
from tests.bench.long.recording import samples_of

REQUESTS: Final = 100
_SHORTEST_S, LONGEST_S = 0.5, 10.0
MOST: Final = 4


def batches(requests: int = REQUESTS, seed: int = 0) -> Iterator[list[FloatArray]]:
    """So many clips in all, as batches; the same ones every time."""
    rng = random.Random(seed)
    sound = np.concatenate([samples_of(clip.audio) for clip in clips_of([], as_wav=True)]).astype(np.float32) / 32768
    while requests > 0:
        count = min(requests, rng.randint(1, MOST))
        requests -= count
        yield [_cut(sound, rng) for _ in range(count)]


def _cut(sound: FloatArray, rng: random.Random) -> FloatArray:
    length = round(rng.uniform(_SHORTEST_S, LONGEST_S) * PCM_RATE_HZ)
    start = rng.randrange(len(sound) - length)
    return sound[start : start + length]

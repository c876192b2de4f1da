"""Clips to padded batches of features: few different shapes, and never more at once than was warmed up."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from model_store.errors import PredictFailed
from model_store.predictors.features import Fbank, resampled
from model_store.predictors.predictor import PCM_RATE_HZ, FloatArray

_BUCKET_FRAMES = 32
# A clip of 30 s, or short ones that make as much together; a longer clip goes alone. On a CPU a bigger run gains no
# speed, takes more memory, and takes more now than another time: when a plane of it is freed is left to chance.
MAX_RUN_FRAMES = 3072
# As long as a word or two.
SHORT_CLIP: Final = np.zeros(int(0.9 * PCM_RATE_HZ), np.float32)


@dataclass(frozen=True, slots=True)
class Run:
    """Padded features of some clips of a batch, and which ones: (B, T, n_mels) float32, (B,) int64."""

    items: tuple[int, ...]
    feats: FloatArray
    lengths: npt.NDArray[np.int64]


def features_of(clips: Sequence[FloatArray], fbank: Fbank) -> list[FloatArray]:
    """The features of each clip, (T, n_mels), at the rate of `fbank`.

    Raises PredictFailed when a clip holds numbers that are not finite.
    """
    if not all(np.isfinite(clip).all() for clip in clips):
        raise PredictFailed("The audio holds numbers that are not finite.")
    return [fbank(resampled(clip, PCM_RATE_HZ, fbank.sample_rate_hz)) for clip in clips]


def bucket_of(n_frames: int) -> int:
    """The padded length: a multiple of 32 frames, of more for long clips, at most an eighth beyond `n_frames`."""
    step = max(_BUCKET_FRAMES, 1 << max(0, n_frames.bit_length() - 4))
    return -(-n_frames // step) * step


def runs_of(features: Sequence[FloatArray], min_frames: int) -> Iterator[Run]:
    """Group clips of like length; those of fewer than `min_frames`, too short for the network, are in no group."""
    usable = [i for i in range(len(features)) if len(features[i]) >= min_frames]
    usable.sort(key=lambda i: (len(features[i]), i), reverse=True)
    while usable:
        n_frames = bucket_of(len(features[usable[0]]))
        n_items = max(1, MAX_RUN_FRAMES // n_frames)
        yield _padded(tuple(usable[:n_items]), features, n_frames)
        usable = usable[n_items:]


def _padded(items: tuple[int, ...], features: Sequence[FloatArray], n_frames: int) -> Run:
    feats = np.zeros((len(items), n_frames, features[items[0]].shape[1]), np.float32)
    for row, item in zip(feats, items, strict=True):
        row[: len(features[item])] = features[item]
    return Run(items, feats, np.array([len(features[item]) for item in items], np.int64))


def warm_up_features(n_mels: int) -> list[list[FloatArray]]:
    """Batches of the shapes that take the most: the largest runs there are, in clips of several lengths.

    Several, because what each leaves on the heap adds up: after these, 400 clips of all lengths add 1 to 8 % (after the
    longest clip and four of a quarter of it, a third).
    """
    lengths = [(MAX_RUN_FRAMES // n_clips, n_clips) for n_clips in (1, 2, 4, 8)]
    lengths += [(MAX_RUN_FRAMES * sixths // 6, 1) for sixths in (4, 5, 6)]
    return [[np.zeros((n_frames, n_mels), np.float32)] * n_clips for n_frames, n_clips in lengths]

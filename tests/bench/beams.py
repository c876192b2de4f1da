"""What a beam comes to for real: the texts that the bundled recogniser for Mandarin considers for frozen clips."""

import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from model_store.predictors.asr import AsrPredictor
from model_store.predictors.search import Path as Text
from model_store.predictors.search import prefix_beam
from model_store.starter.install import BUNDLE_DIR
from model_store.starter.speech import SAMPLE_RATE_HZ, Float32Array
from tests.bench.score import read, served

MODEL = "zh"


class Beam(NamedTuple):
    """The texts, best first, and how many encoder frames they were found in."""

    n_frames: int
    texts: list[Text]


def beams(seconds: int, count: int, size: int) -> list[Beam]:
    """`size` texts of each of `count` recordings, which are clips joined up to at least so many seconds."""
    clips = itertools.cycle(samples for _, samples in read(MODEL))
    with tempfile.TemporaryDirectory() as folder:
        predictor = served(BUNDLE_DIR / MODEL, Path(folder), "fp32", 1)
        assert isinstance(predictor, AsrPredictor)
        found = predictor.log_probs([_joined(clips, seconds) for _ in range(count)])
    return [Beam(len(log_probs), _texts(log_probs, size)) for log_probs in found]


def _joined(clips: Iterator[Float32Array], seconds: int) -> Float32Array:
    parts = [next(clips)]
    while sum(part.size for part in parts) < seconds * SAMPLE_RATE_HZ:
        parts.append(next(clips))
    return np.concatenate(parts)[: seconds * SAMPLE_RATE_HZ]


def _texts(log_probs: Float32Array, size: int) -> list[Text]:
    ids = np.argsort(-log_probs, axis=1, kind="stable")[:, :size].astype(np.int32)
    return prefix_beam(np.take_along_axis(log_probs, ids.astype(np.int64), axis=1), ids, size)

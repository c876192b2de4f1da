"""Decoded frames as numpy holds them."""

from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import numpy as np
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
Int16Array = NDArray[np.int16]

_BATCH_SAMPLES = 1 << 14  # frames may be of a single sample: what follows works on many at once


class Block(NamedTuple):
    """pcm: (channels, samples) float32, 1.0 is full scale, or int16; mostly about 16,384 samples, at most 131,072."""

    pcm: FloatArray | Int16Array
    rate_hz: int

    @property
    def ints(self) -> Int16Array | None:
        """The sound where it is int16."""
        return cast(Int16Array, self.pcm) if self.pcm.dtype == np.int16 else None

    @property
    def floats(self) -> FloatArray:
        """The sound as float32, whatever it is here."""
        ints = self.ints
        return cast(FloatArray, self.pcm) if ints is None else ints.astype(np.float32) * np.float32(1 / 32768)


def float_pcm(frame: AudioFrame) -> FloatArray:
    raw: NDArray[Any] = frame.to_ndarray()
    if not frame.format.is_planar:
        raw = raw.reshape(-1, frame.layout.nb_channels).T
    pcm: FloatArray = raw.astype(np.float32)
    if raw.dtype == np.uint8:
        return (pcm - np.float32(128.0)) * np.float32(1 / 128)
    if raw.dtype.kind == "i":
        return pcm * np.float32(2.0 ** (1 - 8 * raw.dtype.itemsize))
    return np.nan_to_num(pcm, copy=False, nan=0.0, posinf=1.0, neginf=-1.0)


def batched(blocks: Iterator[Block]) -> Iterator[Block]:
    waiting: list[Block] = []
    n_samples = 0
    for block in blocks:
        if waiting and not _is_alike(waiting[-1], block):
            yield _joined(waiting)
            waiting, n_samples = [], 0
        waiting.append(block)
        n_samples += block.pcm.shape[1]
        if n_samples >= _BATCH_SAMPLES:
            yield _joined(waiting)
            waiting, n_samples = [], 0
    if waiting:
        yield _joined(waiting)


def _is_alike(one: Block, other: Block) -> bool:
    return one.rate_hz == other.rate_hz and one.pcm.shape[0] == other.pcm.shape[0]


def _joined(blocks: list[Block]) -> Block:
    return Block(np.concatenate([block.pcm for block in blocks], axis=1), blocks[0].rate_hz)

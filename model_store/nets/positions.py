"""Which frame is which, and which of them a frame may see."""

import numpy as np
import numpy.typing as npt
import paddle

# 200 s at 40 ms; longer recordings are cut at pauses long before they come here. No text has more tokens than frames.
MAX_POSITIONS = 5000
# High enough that after a softmax nothing is left of it that float32 could add, and finite, so that a row of nothing
# else gives no NaN.
_HIDDEN = 1.0e4


def sinusoids(length: int, size: int) -> npt.NDArray[np.float32]:
    """Positions 0..length-1 as interleaved sines and cosines, (1, length, size) (Vaswani et al. 2017, section 3.5)."""
    positions = np.arange(length, dtype=np.float32)[:, None]
    rates = np.exp(np.arange(0, size, 2, dtype=np.float32) * -(np.log(10000.0) / size))
    angles = positions * rates.astype(np.float32)
    pairs: npt.NDArray[np.float32] = np.stack([np.sin(angles), np.cos(angles)], axis=-1).astype(np.float32)
    return pairs.reshape(1, length, size)


def present(n_frames: paddle.Tensor, length: paddle.Tensor) -> paddle.Tensor:
    """(B, length) float32: 1 on the first `n_frames` (B,) of each row, and 0 on the padding behind them."""
    return (paddle.arange(length, dtype="int64").unsqueeze(0) < n_frames.unsqueeze(1)).astype("float32")


def in_chunks(length: paddle.Tensor, chunk_frames: int, left_chunks: int) -> paddle.Tensor:
    """(length, length) float32: 1 where the column's chunk is the row's or one of the `left_chunks` before it.

    Negative `left_chunks` mean all of them (wenet/utils/mask.py, subsequent_chunk_mask).
    """
    chunk = paddle.arange(length, dtype="int64") // chunk_frames
    back = chunk.unsqueeze(1) - chunk.unsqueeze(0)
    seen = back >= 0
    if left_chunks >= 0:
        seen = paddle.logical_and(seen, back <= left_chunks)
    return seen.astype("float32")


def penalty_of(seen: paddle.Tensor) -> paddle.Tensor:
    """What attention takes off its scores: 0 where `seen` is 1, and very much where it is 0."""
    return (1.0 - seen) * _HIDDEN

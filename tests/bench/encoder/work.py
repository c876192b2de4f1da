"""What there is to compute, and how fast the machine multiplies: time says little of an encoder without them."""

from collections.abc import Callable

import numpy as np

from model_store.artifacts.manifest import ConformerShape
from model_store.engines.seam import Array

Turn = Callable[[Array, Array], object]

# Large enough for the best rate of a BLAS, small enough for a turn of many runs.
_SIDE = 2048
# Of a convolution of three by three.
_TAPS = 9


def n_frames(seconds: int) -> int:
    """Of features, every 10 ms, of clips of whole seconds; no window reaches beyond the end."""
    return 100 * seconds - 2


def sgemm() -> Turn:
    """A product of two square fp32 matrices, by the BLAS of NumPy, whatever shape is asked for."""
    rng = np.random.default_rng(0)
    a, b = (rng.normal(0.0, 1.0, (_SIDE, _SIDE)).astype(np.float32) for _ in range(2))
    out = np.empty_like(a)
    return lambda feats, lengths: np.matmul(a, b, out=out)


def sgemm_gflop() -> float:
    """What one run of that computes, in 10^9 operations."""
    return 2 * _SIDE**3 / 1e9


def encoder_gflop(shape: ConformerShape, units: int, batch: int, seconds: int) -> float:
    """Multiplications and additions of matrix products and convolutions, in 10^9; what else there is counts nothing."""
    rows, frames = [(n_frames(seconds) - 1) // 2], [(shape.n_mels - 1) // 2]
    rows.append((rows[0] - 1) // 2)
    frames.append((frames[0] - 1) // 2)
    d, t = shape.size, rows[1]
    subsampling = rows[0] * frames[0] * d * _TAPS + t * frames[1] * d * d * _TAPS + t * frames[1] * d * d
    feed_forward = 2 * 2 * t * d * shape.linear_units
    # Queries, keys, values, the positions and what comes out; then scores of contents and of positions, and values.
    attention = 5 * t * d * d + 3 * t * t * d
    convolution = 3 * t * d * d + t * d * shape.conv_kernel
    return 2 * batch * (subsampling + shape.blocks * (feed_forward + attention + convolution) + t * d * units) / 1e9

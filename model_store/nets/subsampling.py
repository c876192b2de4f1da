"""From feature frames of 10 ms to encoder frames of 40 ms, after normalisation."""

# Paddle has no types.
# mypy: disallow-subclassing-any=False

import numpy as np
import numpy.typing as npt
import paddle
from paddle import nn

# Kernels of 3 and strides of 2, twice: an encoder frame sees 7 feature frames, and the next one starts 4 later.
MIN_FEATURE_FRAMES = 7
STRIDE_FRAMES = 4


class GlobalCmvn(nn.Layer):
    """(features - mean) * istd, statistics of the training set (wenet/transformer/cmvn.py)."""

    def __init__(self, n_mels: int) -> None:
        """Statistics of nothing; real ones come with the weights."""
        super().__init__()
        self.register_buffer("mean", paddle.zeros([n_mels]))
        self.register_buffer("istd", paddle.ones([n_mels]))

    def forward(self, features: paddle.Tensor) -> paddle.Tensor:
        """features: (..., n_mels)."""
        return (features - self.mean) * self.istd


class Subsampling4(nn.Layer):
    """Two unpadded 3x3 convolutions of stride 2 and a projection (wenet/transformer/subsampling.py)."""

    def __init__(self, n_mels: int, size: int) -> None:
        """From `n_mels` to `size` numbers per frame."""
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2D(1, size, 3, 2), nn.ReLU(), nn.Conv2D(size, size, 3, 2), nn.ReLU())
        self.out = nn.Sequential(nn.Linear(size * (((n_mels - 1) // 2 - 1) // 2), size))

    def forward(self, features: paddle.Tensor) -> paddle.Tensor:
        """features: (B, 1, T, n_mels); returns (B, ((T - 1) // 2 - 1) // 2, size)."""
        planes = self.conv(features)
        return self.out(planes.transpose([0, 2, 1, 3]).flatten(2))


def subsampled(n_frames: paddle.Tensor) -> paddle.Tensor:
    """How many encoder frames so many feature frames give; integer tensor in and out."""
    return paddle.clip(((n_frames - 1) // 2 - 1) // 2, min=0)


def sinusoids(length: int, size: int) -> npt.NDArray[np.float32]:
    """Positions 0..length-1 as interleaved sines and cosines, (1, length, size) (Vaswani et al. 2017, section 3.5)."""
    positions = np.arange(length, dtype=np.float32)[:, None]
    rates = np.exp(np.arange(0, size, 2, dtype=np.float32) * -(np.log(10000.0) / size))
    angles = positions * rates.astype(np.float32)
    pairs: npt.NDArray[np.float32] = np.stack([np.sin(angles), np.cos(angles)], axis=-1).astype(np.float32)
    return pairs.reshape(1, length, size)

"""From feature frames of 10 ms to encoder frames of 40, 60 or 80 ms, after normalisation."""

# Paddle has no types.
# mypy: disallow-subclassing-any=False

from itertools import pairwise

import paddle
from paddle import nn

from model_store.artifacts.manifest import SUBSAMPLINGS


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


class Subsampling(nn.Layer):
    """Unpadded strided convolutions over time and frequency, and a projection (wenet/transformer/subsampling.py)."""

    def __init__(self, kind: str, n_mels: int, size: int) -> None:
        """From `n_mels` to `size` numbers per frame; `kind` names one of SUBSAMPLINGS."""
        super().__init__()
        steps = SUBSAMPLINGS[kind]
        self.conv = nn.Sequential(
            *(
                layer
                for (channels, _), (kernel, stride) in zip(pairwise([1, *[size] * len(steps)]), steps, strict=True)
                for layer in (nn.Conv2D(channels, size, kernel, stride), nn.ReLU())
            )
        )
        projection = nn.Linear(size * frames_after(kind, n_mels), size)
        # The sources' names: the two that came later keep it outside of a sequence.
        if kind == "conv2d":
            self.out = nn.Sequential(projection)
        else:
            self.linear = projection

    def forward(self, features: paddle.Tensor) -> paddle.Tensor:
        """features: (B, 1, T, n_mels); returns (B, T', size)."""
        planes = self.conv(features).transpose([0, 2, 1, 3]).flatten(2)
        return self.out(planes) if hasattr(self, "out") else self.linear(planes)


def frames_after(kind: str, n_frames: int) -> int:
    """How many frames the convolutions make of `n_frames`, of which there are enough."""
    for kernel, stride in SUBSAMPLINGS[kind]:
        n_frames = (n_frames - kernel) // stride + 1
    return n_frames


def subsampled(kind: str, n_frames: paddle.Tensor) -> paddle.Tensor:
    """`frames_after` for an integer tensor, in which 0 stands for too few frames."""
    for kernel, stride in SUBSAMPLINGS[kind]:
        n_frames = paddle.clip((n_frames - kernel) // stride + 1, min=0)
    return n_frames

"""The position-wise half of every block."""

# Paddle has no types.
# mypy: disallow-subclassing-any=False

from collections.abc import Callable

import paddle
from paddle import nn
from paddle.nn import functional as F  # noqa: N812 - everybody's name for it

from model_store.artifacts.manifest import Activation

# Every source that is read names its activations so (wenet/utils/class_utils.py), with these functions' defaults.
ACTIVATIONS: dict[Activation, Callable[[paddle.Tensor], paddle.Tensor]] = {
    "swish": F.swish,
    "relu": F.relu,
    "gelu": F.gelu,
    "tanh": F.tanh,
    "hardtanh": F.hardtanh,
    "selu": F.selu,
}


class FeedForward(nn.Layer):
    """Two linear layers around an activation (Vaswani et al. 2017, section 3.3)."""

    def __init__(self, size: int, hidden: int, activation: Activation) -> None:
        """`size` in and out, `hidden` between."""
        super().__init__()
        self.w_1 = nn.Linear(size, hidden)
        self.w_2 = nn.Linear(hidden, size)
        self.activation = ACTIVATIONS[activation]

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """x: (B, T, size)."""
        return self.w_2(self.activation(self.w_1(x)))

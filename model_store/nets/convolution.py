"""The convolution of a conformer block.

Pointwise convolutions are linear layers and the depthwise one is two-dimensional with height 1: on a PIR graph oneDNN
runs neither in bfloat16 otherwise.
"""

# Paddle has no types.
# mypy: disallow-subclassing-any=False

import paddle
from paddle import nn
from paddle.nn import functional as F  # noqa: N812 - everybody's name for it

from model_store.artifacts.manifest import ConformerShape
from model_store.nets.feedforward import ACTIVATIONS


class Gated(nn.Linear):
    """A linear layer of which one half is gated by the other (Dauphin et al. 2017, arXiv 1612.08083, section 2)."""

    def __init__(self, size: int) -> None:
        """From `size` to `size`."""
        super().__init__(size, 2 * size)
        self.size = size

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """x: (..., size)."""
        value, gate = paddle.split(super().forward(x), 2, axis=-1)
        return value * F.sigmoid(gate)


class HalvedGated(nn.Layer):
    """`Gated` as two layers: nothing is split in every run, and oneDNN ends one product with its activation."""

    def __init__(self, whole: Gated) -> None:
        """Take the weights over."""
        super().__init__()
        self.value, self.gate = (nn.Linear(whole.size, whole.size) for _ in range(2))
        for half, weight, bias in zip(
            (self.value, self.gate), whole.weight.split(2, -1), whole.bias.split(2), strict=True
        ):
            half.set_state_dict({"weight": weight, "bias": bias})

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """x: (..., size)."""
        return self.value(x) * F.sigmoid(self.gate(x))


class BatchNorm(nn.Layer):
    """Batch normalisation with the statistics of training, over the last axis."""

    def __init__(self, size: int, epsilon: float) -> None:
        """Statistics of nothing; real ones come with the weights."""
        super().__init__()
        self.epsilon = epsilon
        self.weight = self.create_parameter([size])
        self.bias = self.create_parameter([size], is_bias=True)
        self.register_buffer("running_mean", paddle.zeros([size]))
        self.register_buffer("running_var", paddle.ones([size]))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """x: (..., size)."""
        return (x - self.running_mean) * self.scale() + self.bias

    def scale(self) -> paddle.Tensor:
        """What each of `size` numbers is multiplied by."""
        return self.weight / paddle.sqrt(self.running_var + self.epsilon)


class Convolution(nn.Layer):
    """Pointwise, gate, depthwise, norm, activation, pointwise (Gulati et al. 2020, arXiv 2005.08100, section 2.2).

    The causal one is that of Zhang et al. 2020 (U2, arXiv 2012.05481, section 3).
    """

    def __init__(self, shape: ConformerShape) -> None:
        """Build it for one block of `shape`."""
        super().__init__()
        size, kernel = shape.size, shape.conv_kernel
        self.size = size
        self.left = kernel - 1 if shape.is_causal else 0
        around = 0 if shape.is_causal else (kernel - 1) // 2
        self.pointwise_conv1 = Gated(size)
        self.depthwise_conv = nn.Conv2D(size, size, (1, kernel), padding=(0, around), groups=size)
        norm = BatchNorm if shape.conv_norm == "batch_norm" else nn.LayerNorm
        self.norm = norm(size, epsilon=shape.conv_norm_epsilon)
        self.activation = ACTIVATIONS[shape.activation]
        # Paddle 3.1 loses the rank in bfloat16 behind a relu or gelu here, unless the shape is said again.
        self.loses_rank = shape.activation != "swish"
        self.pointwise_conv2 = nn.Linear(size, size)

    def forward(self, x: paddle.Tensor, keep: paddle.Tensor) -> paddle.Tensor:
        """x: (B, T, size); keep: (B, T, 1), 1 on frames of the utterance and 0 on padding."""
        gated = self.pointwise_conv1(x) * keep
        if self.left:
            gated = paddle.concat([self._before_start(x), gated], axis=1)
        spread = self.depthwise_conv(gated.transpose([0, 2, 1]).unsqueeze(2)).squeeze(2).transpose([0, 2, 1])
        active = self.activation(self.norm(spread))
        if self.loses_rank:
            active = active.reshape([0, 0, self.size])
        return self.pointwise_conv2(active)

    def fold(self) -> None:
        """Become faster; the answers stay the same."""
        self.pointwise_conv1 = HalvedGated(self.pointwise_conv1)
        if isinstance(self.norm, BatchNorm):
            self._fold_norm(self.norm)

    def _fold_norm(self, norm: BatchNorm) -> None:
        """Make it part of the depthwise convolution, which it follows."""
        with paddle.no_grad():
            scale, convolution = norm.scale(), self.depthwise_conv
            convolution.weight.set_value(convolution.weight * scale.reshape([-1, 1, 1, 1]))
            convolution.bias.set_value((convolution.bias - norm.running_mean) * scale + norm.bias)
        self.norm = nn.Identity()

    def _before_start(self, x: paddle.Tensor) -> paddle.Tensor:
        """What a causal convolution sees before the first frame, (B, kernel - 1, size).

        The sources pad with silence before the first pointwise layer, not after it, so its bias shows there.
        """
        return self.pointwise_conv1(paddle.zeros_like(x[:, :1])).tile([1, self.left, 1])

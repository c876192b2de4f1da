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
        self.pointwise_conv1 = nn.Linear(size, 2 * size)
        self.depthwise_conv = nn.Conv2D(size, size, (1, kernel), padding=(0, around), groups=size)
        norm = BatchNorm if shape.conv_norm == "batch_norm" else nn.LayerNorm
        self.norm = norm(size, epsilon=shape.conv_norm_epsilon)
        self.activation = ACTIVATIONS[shape.activation]
        self.pointwise_conv2 = nn.Linear(size, size)

    def forward(self, x: paddle.Tensor, keep: paddle.Tensor) -> paddle.Tensor:
        """x: (B, T, size); keep: (B, T, 1), 1 on frames of the utterance and 0 on padding."""
        gated = self._gate(x) * keep
        if self.left:
            gated = paddle.concat([self._before_start(x), gated], axis=1)
        spread = self.depthwise_conv(gated.transpose([0, 2, 1]).unsqueeze(2)).squeeze(2).transpose([0, 2, 1])
        # Saying the shape again changes nothing, but in bfloat16 Paddle 3.1 loses the rank behind a relu or gelu here.
        active = self.activation(self.norm(spread)).reshape([0, 0, self.size])
        return self.pointwise_conv2(active) * keep

    def fold_norm(self) -> None:
        """Make batch normalisation part of the depthwise convolution, which it follows: the answers stay the same."""
        if not isinstance(self.norm, BatchNorm):
            return
        with paddle.no_grad():
            scale, convolution = self.norm.scale(), self.depthwise_conv
            convolution.weight.set_value(convolution.weight * scale.reshape([-1, 1, 1, 1]))
            convolution.bias.set_value((convolution.bias - self.norm.running_mean) * scale + self.norm.bias)
        self.norm = nn.Identity()

    def _gate(self, x: paddle.Tensor) -> paddle.Tensor:
        value, gate = paddle.split(self.pointwise_conv1(x), 2, axis=-1)
        return value * F.sigmoid(gate)

    def _before_start(self, x: paddle.Tensor) -> paddle.Tensor:
        """What a causal convolution sees before the first frame, (B, kernel - 1, size).

        The sources pad with silence before the first pointwise layer, not after it, so its bias shows there.
        """
        return self._gate(paddle.zeros_like(x[:, :1])).tile([1, self.left, 1])

"""The blocks that encoders are made of.

Names of layers, and so of weights, are WeNet's (wenet/transformer/encoder_layer.py).
"""

# Paddle has no types.
# mypy: disallow-subclassing-any=False

import paddle
from paddle import nn

from model_store.artifacts.manifest import ConformerShape, Encoder, TransformerShape
from model_store.nets.attention import Attention, Place, RelativeAttention
from model_store.nets.convolution import Convolution
from model_store.nets.feedforward import FeedForward


class ConformerBlock(nn.Layer):
    """Half a feed-forward, attention, convolution, the other half, a last norm (Gulati et al. 2020, section 2.4)."""

    def __init__(self, shape: ConformerShape) -> None:
        """Build one block of `shape`."""
        super().__init__()
        size, epsilon = shape.size, shape.norm_epsilon
        self.self_attn = self_attention(shape)
        self.feed_forward = FeedForward(size, shape.linear_units, shape.activation)
        self.feed_forward_macaron = FeedForward(size, shape.linear_units, shape.activation)
        self.conv_module = Convolution(shape)
        self.norm_ff_macaron = nn.LayerNorm(size, epsilon=epsilon)
        self.norm_mha = nn.LayerNorm(size, epsilon=epsilon)
        self.norm_conv = nn.LayerNorm(size, epsilon=epsilon)
        self.norm_ff = nn.LayerNorm(size, epsilon=epsilon)
        self.norm_final = nn.LayerNorm(size, epsilon=epsilon)

    def forward(self, x: paddle.Tensor, place: Place, keep: paddle.Tensor) -> paddle.Tensor:
        """x: (B, T, size); for the others see the attention and the convolution."""
        x = x + 0.5 * self.feed_forward_macaron(self.norm_ff_macaron(x))
        heard = self.norm_mha(x)
        x = x + self.self_attn(heard, heard, *place)
        x = x + self.conv_module(self.norm_conv(x), keep)
        x = x + 0.5 * self.feed_forward(self.norm_ff(x))
        return self.norm_final(x)


class TransformerBlock(nn.Layer):
    """Attention and feed-forward, each normalised before (Vaswani et al. 2017, section 3.1)."""

    def __init__(self, shape: TransformerShape) -> None:
        """Build one block of `shape`."""
        super().__init__()
        self.self_attn = self_attention(shape)
        self.feed_forward = FeedForward(shape.size, shape.linear_units, shape.activation)
        self.norm1 = nn.LayerNorm(shape.size, epsilon=shape.norm_epsilon)
        self.norm2 = nn.LayerNorm(shape.size, epsilon=shape.norm_epsilon)

    def forward(self, x: paddle.Tensor, place: Place, keep: paddle.Tensor) -> paddle.Tensor:
        """x: (B, T, size); for the others see the attention. Nothing here mixes frames but the attention: no `keep`."""
        heard = self.norm1(x)
        x = x + self.self_attn(heard, heard, *place)
        return x + self.feed_forward(self.norm2(x))


def self_attention(shape: Encoder) -> Attention:
    """The attention of every block of `shape`."""
    kind = RelativeAttention if shape.positions == "relative" else Attention
    return kind(shape.size, shape.heads)

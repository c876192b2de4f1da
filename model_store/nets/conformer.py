"""The conformer encoder of the U2 family, offline: every frame sees the whole utterance.

Gulati et al. 2020, "Conformer" (arXiv 2005.08100), section 2; Zhang et al. 2020, "Unified streaming and
non-streaming" (U2, arXiv 2012.05481), section 3, for the causal convolution. Names of layers, and so of weights, are
WeNet's (wenet/transformer/encoder.py, encoder_layer.py, convolution.py).

Pointwise convolutions are linear layers and the depthwise one is two-dimensional with height 1: on a PIR graph oneDNN
runs neither in bfloat16 otherwise.
"""

# Paddle has no types.
# mypy: disallow-subclassing-any=False

import math

import paddle
from paddle import nn
from paddle.nn import functional as F  # noqa: N812 - everybody's name for it

from model_store.artifacts.manifest import Encoder
from model_store.nets.attention import RelativeAttention
from model_store.nets.subsampling import GlobalCmvn, Subsampling4, sinusoids, subsampled

# 200 s; longer recordings are cut at pauses long before they come here.
MAX_ENCODER_FRAMES = 5000
# Low enough that a softmax makes an exact zero of it, and finite, so that a row of nothing else gives no NaN.
_HIDDEN = -1.0e4


class FeedForward(nn.Layer):
    """Two linear layers around a swish (Conformer, section 2.3)."""

    def __init__(self, size: int, hidden: int) -> None:
        """`size` in and out, `hidden` between."""
        super().__init__()
        self.w_1 = nn.Linear(size, hidden)
        self.w_2 = nn.Linear(hidden, size)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """x: (B, T, size)."""
        return self.w_2(F.silu(self.w_1(x)))


class Convolution(nn.Layer):
    """Pointwise, gate, depthwise, norm, swish, pointwise (Conformer, section 2.2)."""

    def __init__(self, shape: Encoder) -> None:
        """Build it for one block of `shape`."""
        super().__init__()
        size, kernel = shape.size, shape.conv_kernel
        self.left = kernel - 1 if shape.is_causal else 0
        around = 0 if shape.is_causal else (kernel - 1) // 2
        self.pointwise_conv1 = nn.Linear(size, 2 * size)
        self.depthwise_conv = nn.Conv2D(size, size, (1, kernel), padding=(0, around), groups=size)
        self.norm = nn.LayerNorm(size, epsilon=shape.conv_norm_epsilon)
        self.pointwise_conv2 = nn.Linear(size, size)

    def forward(self, x: paddle.Tensor, keep: paddle.Tensor) -> paddle.Tensor:
        """x: (B, T, size); keep: (B, T, 1), 1 on frames of the utterance and 0 on padding."""
        gated = self._gate(x) * keep
        if self.left:
            gated = paddle.concat([self._before_start(x), gated], axis=1)
        spread = self.depthwise_conv(gated.transpose([0, 2, 1]).unsqueeze(2)).squeeze(2).transpose([0, 2, 1])
        return self.pointwise_conv2(F.silu(self.norm(spread))) * keep

    def _gate(self, x: paddle.Tensor) -> paddle.Tensor:
        value, gate = paddle.split(self.pointwise_conv1(x), 2, axis=-1)
        return value * F.sigmoid(gate)

    def _before_start(self, x: paddle.Tensor) -> paddle.Tensor:
        """What a causal convolution sees before the first frame, (B, kernel - 1, size).

        WeNet pads with silence before the first pointwise layer, not after it, so its bias shows there.
        """
        return self._gate(paddle.zeros_like(x[:, :1])).tile([1, self.left, 1])


class ConformerBlock(nn.Layer):
    """Half a feed-forward, attention, convolution, the other half, a last norm (Conformer, section 2.4)."""

    def __init__(self, shape: Encoder) -> None:
        """Build one block of `shape`."""
        super().__init__()
        size, epsilon = shape.size, shape.norm_epsilon
        self.self_attn = RelativeAttention(size, shape.heads)
        self.feed_forward = FeedForward(size, shape.linear_units)
        self.feed_forward_macaron = FeedForward(size, shape.linear_units)
        self.conv_module = Convolution(shape)
        self.norm_ff_macaron = nn.LayerNorm(size, epsilon=epsilon)
        self.norm_mha = nn.LayerNorm(size, epsilon=epsilon)
        self.norm_conv = nn.LayerNorm(size, epsilon=epsilon)
        self.norm_ff = nn.LayerNorm(size, epsilon=epsilon)
        self.norm_final = nn.LayerNorm(size, epsilon=epsilon)

    def forward(
        self, x: paddle.Tensor, positions: paddle.Tensor, bias: paddle.Tensor, keep: paddle.Tensor
    ) -> paddle.Tensor:
        """x: (B, T, size); for the others see the attention and the convolution."""
        x = x + 0.5 * self.feed_forward_macaron(self.norm_ff_macaron(x))
        x = x + self.self_attn(self.norm_mha(x), positions, bias)
        x = x + self.conv_module(self.norm_conv(x), keep)
        x = x + 0.5 * self.feed_forward(self.norm_ff(x))
        return self.norm_final(x)


class ConformerEncoder(nn.Layer):
    """Normalisation, subsampling, positions and blocks."""

    def __init__(self, shape: Encoder) -> None:
        """Build the encoder that a manifest describes; weights are random until they are set."""
        super().__init__()
        self.scale = math.sqrt(shape.size)
        self.global_cmvn = GlobalCmvn(shape.n_mels)
        self.embed = Subsampling4(shape.n_mels, shape.size)
        self.encoders = nn.LayerList([ConformerBlock(shape) for _ in range(shape.blocks)])
        self.after_norm = nn.LayerNorm(shape.size, epsilon=shape.norm_epsilon)
        positions = paddle.to_tensor(sinusoids(MAX_ENCODER_FRAMES, shape.size))
        self.register_buffer("positions", positions, persistable=False)

    def forward(
        self, features: paddle.Tensor, n_frames: paddle.Tensor
    ) -> tuple[paddle.Tensor, paddle.Tensor, paddle.Tensor]:
        """Encode a batch.

        features: (B, T, n_mels) float32 log mel energies, padded; n_frames: (B,) int64, without the padding.
        Returns the encoding (B, T', size), keep (B, T', 1) and the encoder frames (B,) of each utterance.
        """
        # The plane is made first: oneDNN would fuse a later unsqueeze into the product and then lose it in bfloat16.
        x = self.embed(self.global_cmvn(features.unsqueeze(1))) * self.scale
        length = paddle.shape(x)[1]
        encoded_frames = subsampled(n_frames)
        keep = (paddle.arange(length, dtype="int64").unsqueeze(0) < encoded_frames.unsqueeze(1)).astype("float32")
        bias = ((1.0 - keep) * _HIDDEN).unsqueeze([1, 2])
        keep = keep.unsqueeze(-1)
        for block in self.encoders:
            x = block(x, self.positions[:, :length], bias, keep)
        return self.after_norm(x), keep, encoded_frames

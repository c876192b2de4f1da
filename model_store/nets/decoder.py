"""The attention decoders of the U2 family, which score hypotheses of one utterance, all at once, in a tree.

Zhang et al. 2020 (U2, arXiv 2012.05481), section 3, and Wu et al. 2021 (U2++, arXiv 2106.05642), section 2.2, for the
one from right to left. Names of layers, and so of weights, are WeNet's (wenet/transformer/decoder.py).
"""

# Paddle has no types.
# mypy: disallow-subclassing-any=False

import math

import paddle
from paddle import nn
from paddle.static import InputSpec

from model_store.artifacts.manifest import Decoder as Shape
from model_store.nets.attention import Attention
from model_store.nets.feedforward import FeedForward
from model_store.nets.positions import MAX_POSITIONS, penalty_of, sinusoids


class DecoderBlock(nn.Layer):
    """Attention to what was said before, attention to the sound, feed-forward (Vaswani et al. 2017, section 3.1)."""

    def __init__(self, shape: Shape, size: int) -> None:
        """Build one block of `shape`."""
        super().__init__()
        self.self_attn = Attention(size, shape.heads)
        self.src_attn = Attention(size, shape.heads)
        self.feed_forward = FeedForward(size, shape.linear_units, shape.activation)
        self.norm1 = nn.LayerNorm(size, epsilon=shape.norm_epsilon)
        self.norm2 = nn.LayerNorm(size, epsilon=shape.norm_epsilon)
        self.norm3 = nn.LayerNorm(size, epsilon=shape.norm_epsilon)

    def forward(self, x: paddle.Tensor, encoded: paddle.Tensor, penalty: paddle.Tensor) -> paddle.Tensor:
        """x: (1, M, size); encoded: (1, T', size); penalty: (M, M)."""
        said = self.norm1(x)
        x = x + self.self_attn(said, said, penalty)
        x = x + self.src_attn(self.norm2(x), encoded)
        return x + self.feed_forward(self.norm3(x))


class TransformerDecoder(nn.Layer):
    """The decoder from left to right."""

    outputs: tuple[str, ...] = ("token_log_probs",)

    def __init__(self, shape: Shape, size: int, units: int, blocks: int) -> None:
        """Build the decoder with so many blocks over `units`, for encodings of `size`."""
        super().__init__()
        self.scale = math.sqrt(size)
        self.embed = nn.Sequential(nn.Embedding(units, size))
        self.decoders = nn.LayerList([DecoderBlock(shape, size) for _ in range(blocks)])
        self.after_norm = nn.LayerNorm(size, epsilon=shape.norm_epsilon)
        self.output_layer = nn.Linear(size, units)
        positions = paddle.to_tensor(sinusoids(MAX_POSITIONS, size)[0])
        self.register_buffer("positions", positions, persistable=False)
        self.inputs = (InputSpec([1, None, size], "float32", "encoded"), *_tree_inputs(""))

    def forward(
        self,
        encoded: paddle.Tensor,
        tokens: paddle.Tensor,
        depths: paddle.Tensor,
        seen: paddle.Tensor,
        steps: paddle.Tensor,
    ) -> tuple[paddle.Tensor]:
        """The log-probability of each step (S,), where the tokens on the way to its node were said.

        encoded: (1, T', size), of one utterance without padding; of each node its token and its depth (M,) int64, and
        seen (M, M) float32: 1 for the nodes on the way to it and for itself; steps: (S, 2) int64, a node and a token.
        """
        x = self.embed(tokens) * self.scale + paddle.gather(self.positions, depths)
        x, penalty = x.unsqueeze(0), penalty_of(seen)
        for block in self.decoders:
            x = block(x, encoded, penalty)
        logits = self.output_layer(self.after_norm(x)).squeeze(0)
        sums = paddle.gather(paddle.logsumexp(logits, axis=-1), steps[:, 0])
        return (paddle.gather_nd(logits, steps) - sums,)


class BitransformerDecoder(nn.Layer):
    """Two decoders of their own weights: one reads from left to right, the other from right to left."""

    outputs = ("token_log_probs", "reverse_token_log_probs")

    def __init__(self, shape: Shape, size: int, units: int) -> None:
        """Build both decoders over `units`, for encodings of `size`."""
        super().__init__()
        self.left_decoder = TransformerDecoder(shape, size, units, shape.blocks)
        self.right_decoder = TransformerDecoder(shape, size, units, shape.reverse_blocks)
        self.inputs = (*self.left_decoder.inputs, *_tree_inputs("reverse_"))

    def forward(
        self,
        encoded: paddle.Tensor,
        tokens: paddle.Tensor,
        depths: paddle.Tensor,
        seen: paddle.Tensor,
        steps: paddle.Tensor,
        reverse_tokens: paddle.Tensor,
        reverse_depths: paddle.Tensor,
        reverse_seen: paddle.Tensor,
        reverse_steps: paddle.Tensor,
    ) -> tuple[paddle.Tensor, paddle.Tensor]:
        """See `TransformerDecoder.forward`; the last four are of the reversed hypotheses."""
        return (
            *self.left_decoder(encoded, tokens, depths, seen, steps),
            *self.right_decoder(encoded, reverse_tokens, reverse_depths, reverse_seen, reverse_steps),
        )


def build_decoder(shape: Shape, size: int, units: int) -> TransformerDecoder | BitransformerDecoder:
    """The decoder that a manifest describes; weights are random until they are set."""
    if shape.reverse_blocks:
        return BitransformerDecoder(shape, size, units)
    return TransformerDecoder(shape, size, units, shape.blocks)


def _tree_inputs(prefix: str) -> tuple[InputSpec, ...]:
    return (
        InputSpec([None], "int64", f"{prefix}tokens"),
        InputSpec([None], "int64", f"{prefix}depths"),
        InputSpec([None, None], "float32", f"{prefix}seen"),
        InputSpec([None, 2], "int64", f"{prefix}steps"),
    )

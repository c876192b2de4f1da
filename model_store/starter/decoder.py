"""The attention decoder of the starter networks in torch: WeNet's, name for name and number for number.

Reference: Vaswani et al. 2017 (arXiv 1706.03762), section 3, as coded in wenet/transformer/decoder.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from model_store.starter.layers import MASKED, CheapDropout, FeedForward, sinusoids

MAX_UNITS = 500
NO_TARGET = -1


@dataclass(frozen=True)
class DecoderShape:
    """The sizes of an attention decoder, which is as wide as its encoder."""

    attention_heads: int = 4
    linear_units: int = 256
    num_blocks: int = 2
    dropout_rate: float = 0.1


class Attention(nn.Module):
    """Scaled dot-product attention with several heads."""

    def __init__(self, size: int, heads: int) -> None:
        """`size` is split evenly between `heads`."""
        super().__init__()
        self.heads = heads
        self.linear_q = nn.Linear(size, size)
        self.linear_k = nn.Linear(size, size)
        self.linear_v = nn.Linear(size, size)
        self.linear_out = nn.Linear(size, size)

    def forward(self, x: Tensor, memory: Tensor, bias: Tensor) -> Tensor:
        """x: (B, L, size); memory: (B, M, size); bias: 0 on what may be looked at, else very low, over (B, 1, L, M)."""
        query, key, value = (
            layer(source).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer, source in ((self.linear_q, x), (self.linear_k, memory), (self.linear_v, memory))
        )
        weights = torch.softmax(query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1]) + bias, dim=-1)
        return self.linear_out((weights @ value).transpose(1, 2).flatten(2))


class DecoderLayer(nn.Module):
    """Attention to what was said before, attention to the sound, feed-forward; each normalised before."""

    def __init__(self, shape: DecoderShape, size: int) -> None:
        """Build one block of `shape`."""
        super().__init__()
        self.self_attn = Attention(size, shape.attention_heads)
        self.src_attn = Attention(size, shape.attention_heads)
        self.feed_forward = FeedForward(size, shape.linear_units, functional.relu)
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(size), nn.LayerNorm(size), nn.LayerNorm(size)
        self.dropout = CheapDropout(shape.dropout_rate)

    def forward(self, x: Tensor, encoded: Tensor, later: Tensor, padding: Tensor) -> Tensor:
        """x: (B, L, size); encoded: (B, T', size); later, padding: biases that hide them."""
        said = self.norm1(x)
        x = x + self.dropout(self.self_attn(said, said, later))
        x = x + self.dropout(self.src_attn(self.norm2(x), encoded, padding))
        return x + self.dropout(self.feed_forward(self.norm3(x)))


class TransformerDecoder(nn.Module):
    """Says which unit comes next, given those before and the encodings."""

    positions: Tensor

    def __init__(self, shape: DecoderShape, size: int, n_units: int) -> None:
        """`size` is the width of the encoder, `n_units` the size of the vocabulary."""
        super().__init__()
        self.embed = nn.Sequential(nn.Embedding(n_units, size))
        self.decoders = nn.ModuleList(DecoderLayer(shape, size) for _ in range(shape.num_blocks))
        self.after_norm = nn.LayerNorm(size)
        self.output_layer = nn.Linear(size, n_units)
        self.dropout = CheapDropout(shape.dropout_rate)
        self.scale = math.sqrt(size)
        self.register_buffer("positions", sinusoids(MAX_UNITS, size), persistent=False)
        # Scaled up by the root of the width, embeddings of unit deviation would drown the positions.
        nn.init.normal_(self.embed[0].weight, std=1 / self.scale)

    def forward(self, encoded: Tensor, keep: Tensor, units: Tensor) -> Tensor:
        """encoded: (B, T', size); keep: (B, T', 1), 0 on padding; units: (B, L). Returns logits (B, L, V)."""
        length = units.shape[1]
        x = self.dropout(self.embed(units) * self.scale + self.positions[:, :length])
        later = torch.full((length, length), MASKED).triu(1)
        padding = ((1 - keep.squeeze(-1)) * MASKED)[:, None, None]
        for layer in self.decoders:
            x = layer(x, encoded, later, padding)
        return self.output_layer(self.after_norm(x))


def shifted(targets: Sequence[Sequence[int]], end: int) -> tuple[Tensor, Tensor]:
    """Give what the decoder reads and what it is to say: (B, L) with the end's unit first, and with it last.

    What stands behind an utterance is `end` in the first and NO_TARGET in the second.
    """
    length = 1 + max(map(len, targets))
    said, wanted = torch.full((len(targets), length), end), torch.full((len(targets), length), NO_TARGET)
    for row, target in enumerate(targets):
        said[row, 1 : len(target) + 1] = torch.tensor(target)
        wanted[row, : len(target) + 1] = torch.tensor([*target, end])
    return said, wanted

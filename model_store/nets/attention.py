"""Multi-head attention, plain and with relative position terms."""

# Paddle has no types.
# mypy: disallow-subclassing-any=False

import math
from collections.abc import Sequence

import paddle
from paddle import nn
from paddle.nn import functional as F  # noqa: N812 - everybody's name for it

# What memory loses, and what its keys gain, by where it stands: see `Attention.forward`.
Place = tuple[paddle.Tensor, paddle.Tensor | None]


class Attention(nn.Layer):
    """Scaled dot products of queries and keys, and the values weighed by them (Vaswani et al. 2017, section 3.2)."""

    def __init__(self, size: int, heads: int) -> None:
        """`size` is split evenly between `heads`."""
        super().__init__()
        self.size = size
        self.heads = heads
        self.head_size = size // heads
        self.linear_q = nn.Linear(size, size)
        self.linear_k = nn.Linear(size, size)
        self.linear_v = nn.Linear(size, size)
        self.linear_out = nn.Linear(size, size)

    def forward(
        self,
        x: paddle.Tensor,
        memory: paddle.Tensor,
        penalty: paddle.Tensor | None = None,
        key_offset: paddle.Tensor | None = None,
    ) -> paddle.Tensor:
        """What each row of `x` (B, T, size) finds in `memory` (B, M, size).

        penalty: broadcast to (B, heads, T, M), what memory loses by its place; key_offset: (1, M, size), what its keys
        gain by it.
        """
        query, key, value = self._queries(x), self.linear_k(memory), self.linear_v(memory)
        key = key if key_offset is None else key + key_offset
        scores = paddle.matmul(self._heads_first(query), self._heads_first(key), transpose_y=True)
        scores = scores * (1 / math.sqrt(self.head_size))
        # Taken off, not added: Paddle would make an addition part of the product, and a broadcast there takes oneDNN's
        # reference code (an encoder of full size took 1.4 times as long for a second alone, 8 times for a batch).
        weights = F.softmax(scores if penalty is None else scores - penalty, axis=-1)
        mixed = paddle.matmul(weights, self._heads_first(value)).transpose([0, 2, 1, 3])
        return self.linear_out(mixed.reshape([0, 0, self.size]))

    def place(self, positions: paddle.Tensor, penalty: paddle.Tensor) -> Place:
        """The penalty and the offset of keys at `positions` (1, M, size); `penalty` (B, 1, 1, M) hides some of them."""
        return penalty, None

    def _queries(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.linear_q(x)

    def _heads_first(self, x: paddle.Tensor) -> paddle.Tensor:
        """(B, T, size) to (B, heads, T, head_size)."""
        return x.reshape([0, 0, self.heads, self.head_size]).transpose([0, 2, 1, 3])


class RelativeAttention(Attention):
    """Attention with Transformer-XL's content and position terms (Dai et al. 2019, section 3.3).

    As in WeNet and PaddleSpeech the relative shift is left out: positions are those of the keys, counted from the
    first frame (wenet/transformer/attention.py, RelPositionMultiHeadedAttention: "Remove rel_shift"). So the sum
    (q + u) k + (q + v) p is (q + u) (k + p) - (u - v) p: one product of queries and keys instead of two, and a penalty
    that is the same for all queries.
    """

    def __init__(self, size: int, heads: int) -> None:
        """`size` is split evenly between `heads`."""
        super().__init__(size, heads)
        self.linear_pos = nn.Linear(size, size, bias_attr=False)
        self.pos_bias_u = self.create_parameter([heads, self.head_size])
        self.pos_bias_v = self.create_parameter([heads, self.head_size])

    def place(self, positions: paddle.Tensor, penalty: paddle.Tensor) -> Place:
        """See `Attention.place`."""
        by_position = paddle.matmul(positions, self.penalty_weight()).transpose([0, 2, 1]).unsqueeze(2)
        return penalty + by_position, self.linear_pos(positions)

    def penalty_weight(self) -> paddle.Tensor:
        """(size, heads), from a position to what its key loses in each head."""
        by_head = self.linear_pos.weight.reshape([self.size, self.heads, self.head_size])
        return (by_head * (self.pos_bias_u - self.pos_bias_v)).sum(axis=-1) * (1 / math.sqrt(self.head_size))

    def _queries(self, x: paddle.Tensor) -> paddle.Tensor:
        # The sum of weights is made once, when a graph is loaded.
        return F.linear(x, self.linear_q.weight, self.linear_q.bias + self.pos_bias_u.flatten())


class Places(nn.Layer):
    """The places of many layers of relative attention in one product."""

    def __init__(self, layers: Sequence[RelativeAttention]) -> None:
        """Fold the weights of `layers`, which are of the same size."""
        super().__init__()
        self.layers, self.heads, size = len(layers), layers[0].heads, layers[0].size
        parts = [layer.linear_pos.weight for layer in layers] + [layer.penalty_weight() for layer in layers]
        weight = paddle.concat(parts, axis=-1)
        # With a bias, though of zeros: oneDNN packs the weights of such a layer once, and of a bare product never.
        self.linear = nn.Linear(*weight.shape)
        self.linear.set_state_dict({"weight": weight, "bias": paddle.zeros(weight.shape[1:])})
        self.sections = [size] * self.layers + [self.heads * self.layers]

    def forward(self, positions: paddle.Tensor, penalty: paddle.Tensor) -> list[Place]:
        """See `Attention.place`, for each layer."""
        *key_offsets, penalties = paddle.split(self.linear(positions), self.sections, axis=-1)
        penalties = penalty + penalties.transpose([0, 2, 1]).unsqueeze(2)
        # Paddle's exporter knows no strict=.
        return list(zip(paddle.split(penalties, self.layers, axis=1), key_offsets))  # noqa: B905

"""Multi-head attention, plain and with relative position terms."""

# Paddle has no types.
# mypy: disallow-subclassing-any=False

import math

import paddle
from paddle import nn
from paddle.nn import functional as F  # noqa: N812 - everybody's name for it


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
        bias: paddle.Tensor | None = None,
        positions: paddle.Tensor | None = None,
    ) -> paddle.Tensor:
        """What each row of `x` (B, T, size) finds in `memory` (B, M, size).

        bias: broadcast to (B, heads, T, M), 0 where memory may be seen, else very low; positions: (1, M, size), for
        attention that knows them.
        """
        query = self._split(self.linear_q(x))
        key, value = self._heads_first(self.linear_k(memory)), self._heads_first(self.linear_v(memory))
        scores = self._scores(query, key, positions) * (1 / math.sqrt(self.head_size))
        weights = F.softmax(scores if bias is None else scores + bias, axis=-1)
        mixed = paddle.matmul(weights, value).transpose([0, 2, 1, 3])
        return self.linear_out(mixed.reshape([0, 0, self.size]))

    def _scores(self, query: paddle.Tensor, key: paddle.Tensor, positions: paddle.Tensor | None) -> paddle.Tensor:
        """query: (B, T, heads, head_size); key: (B, heads, M, head_size); returns (B, heads, T, M)."""
        return paddle.matmul(query.transpose([0, 2, 1, 3]), key, transpose_y=True)

    def _split(self, x: paddle.Tensor) -> paddle.Tensor:
        """(B, T, size) to (B, T, heads, head_size)."""
        return x.reshape([0, 0, self.heads, self.head_size])

    def _heads_first(self, x: paddle.Tensor) -> paddle.Tensor:
        """(B, T, size) to (B, heads, T, head_size)."""
        return self._split(x).transpose([0, 2, 1, 3])


class RelativeAttention(Attention):
    """Attention with Transformer-XL's content and position terms (Dai et al. 2019, section 3.3).

    As in WeNet and PaddleSpeech the relative shift is left out: positions are those of the keys, counted from the
    first frame (wenet/transformer/attention.py, RelPositionMultiHeadedAttention: "Remove rel_shift").
    """

    def __init__(self, size: int, heads: int) -> None:
        """`size` is split evenly between `heads`."""
        super().__init__(size, heads)
        self.linear_pos = nn.Linear(size, size, bias_attr=False)
        self.pos_bias_u = self.create_parameter([heads, self.head_size])
        self.pos_bias_v = self.create_parameter([heads, self.head_size])

    def _scores(self, query: paddle.Tensor, key: paddle.Tensor, positions: paddle.Tensor | None) -> paddle.Tensor:
        where = self._heads_first(self.linear_pos(positions))
        content = super()._scores(query + self.pos_bias_u, key, None)
        return content + super()._scores(query + self.pos_bias_v, where, None)

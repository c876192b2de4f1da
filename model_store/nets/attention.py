"""Self-attention with relative position terms."""

# Paddle has no types.
# mypy: disallow-subclassing-any=False

import math

import paddle
from paddle import nn
from paddle.nn import functional as F  # noqa: N812 - everybody's name for it


class RelativeAttention(nn.Layer):
    """Multi-head attention with Transformer-XL's content and position terms (Dai et al. 2019, section 3.3).

    As in WeNet the relative shift is left out: positions are those of the keys, counted from the first frame
    (wenet/transformer/attention.py, RelPositionMultiHeadedAttention: "rel_shift should be removed").
    """

    def __init__(self, size: int, heads: int) -> None:
        """`size` is split evenly between `heads`."""
        super().__init__()
        self.heads = heads
        self.head_size = size // heads
        self.linear_q = nn.Linear(size, size)
        self.linear_k = nn.Linear(size, size)
        self.linear_v = nn.Linear(size, size)
        self.linear_out = nn.Linear(size, size)
        self.linear_pos = nn.Linear(size, size, bias_attr=False)
        self.pos_bias_u = self.create_parameter([heads, self.head_size])
        self.pos_bias_v = self.create_parameter([heads, self.head_size])

    def forward(self, x: paddle.Tensor, positions: paddle.Tensor, bias: paddle.Tensor) -> paddle.Tensor:
        """x: (B, T, size); positions: (1, T, size); bias: (B, 1, 1, T), 0 where a frame may be seen, else very low."""
        query = self._split(self.linear_q(x))
        key, value = self._heads_first(self.linear_k(x)), self._heads_first(self.linear_v(x))
        where = self._heads_first(self.linear_pos(positions))
        content = paddle.matmul((query + self.pos_bias_u).transpose([0, 2, 1, 3]), key, transpose_y=True)
        position = paddle.matmul((query + self.pos_bias_v).transpose([0, 2, 1, 3]), where, transpose_y=True)
        weights = F.softmax((content + position) * (1 / math.sqrt(self.head_size)) + bias, axis=-1)
        mixed = paddle.matmul(weights, value).transpose([0, 2, 1, 3])
        return self.linear_out(mixed.reshape([0, 0, self.heads * self.head_size]))

    def _split(self, x: paddle.Tensor) -> paddle.Tensor:
        """(B, T, size) to (B, T, heads, head_size)."""
        return x.reshape([0, 0, self.heads, self.head_size])

    def _heads_first(self, x: paddle.Tensor) -> paddle.Tensor:
        """(B, T, size) to (B, heads, T, head_size)."""
        return self._split(x).transpose([0, 2, 1, 3])

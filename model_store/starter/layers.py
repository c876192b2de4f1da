"""What the encoder and the decoder of the starter networks share."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

# Added to the scores of what must not be looked at; it holds in bfloat16 too.
MASKED = -1.0e4


class CheapDropout(nn.Module):
    """Dropout from one random byte an element; torch's own draws a number for each, a fifth of the time on a CPU."""

    def __init__(self, rate: float) -> None:
        """`rate` is rounded to a 256th."""
        super().__init__()
        self.threshold = round(rate * 256)

    def forward(self, x: Tensor) -> Tensor:
        """Drop elements in training, scale up the others; x has any shape."""
        if not self.training or self.threshold == 0:
            return x
        words = torch.empty(x.numel() // 4 + 1, dtype=torch.int32).random_(-(2**31), None)
        kept = words.view(torch.uint8)[: x.numel()].view(x.shape) >= self.threshold
        return x * kept.to(x.dtype).mul_(256 / (256 - self.threshold))


class FeedForward(nn.Module):
    """Two linear layers around an activation."""

    def __init__(self, size: int, hidden: int, activation: Callable[[Tensor], Tensor]) -> None:
        """`size` in and out, `hidden` between."""
        super().__init__()
        self.w_1 = nn.Linear(size, hidden)
        self.w_2 = nn.Linear(hidden, size)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, T, size)."""
        return self.w_2(self.activation(self.w_1(x)))


def sinusoids(length: int, size: int) -> Tensor:
    """Absolute positions 0..length-1 as interleaved sines and cosines, (1, length, size)."""
    steps = torch.arange(length)[:, None].float()
    rates = torch.exp(torch.arange(0, size, 2).float() * -(math.log(10000.0) / size))
    return torch.stack([torch.sin(steps * rates), torch.cos(steps * rates)], dim=-1).flatten(1)[None]

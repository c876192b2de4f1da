"""The bias of a CTC blank at which a network with random weights says as much as people do."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

_FARTHEST, _STEPS, _TOLERANCE = 20.0, 12, 0.02


def with_blank_bias(log_probs: Array, bias: float) -> Array:
    """The log-probabilities, (T, V), that there would be with `bias` more on the score of the blank, unit 0."""
    moved = log_probs.copy()
    moved[:, 0] += np.float32(bias)
    # By what the others lose, their sum being one before.
    moved -= np.log1p(np.exp(log_probs[:, :1]) * np.expm1(bias))
    return moved


def bias_for(wanted: float, tokens_at: Callable[[float], float]) -> float:
    """Where `tokens_at`, which falls as the bias rises, comes to `wanted`, or to within a fiftieth of it."""
    low, high = -_FARTHEST, _FARTHEST
    for _ in range(_STEPS):
        bias = (low + high) / 2
        found = tokens_at(bias)
        if abs(found - wanted) <= _TOLERANCE * wanted:
            break
        low, high = (bias, high) if found > wanted else (low, bias)
    return bias

"""The activations that configurations name."""

import math

import numpy as np
import paddle
import pytest

from model_store.nets.feedforward import ACTIVATIONS

_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772  # Klambauer et al. 2017, equation 14
FORMULAS = {
    "swish": lambda x: x / (1 + math.exp(-x)),
    "relu": lambda x: max(x, 0),
    "gelu": lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2,
    "tanh": math.tanh,
    "hardtanh": lambda x: min(max(x, -1), 1),
    "selu": lambda x: _SELU_SCALE * (x if x > 0 else _SELU_ALPHA * (math.exp(x) - 1)),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_is_what_its_formula_says(name):
    at = np.linspace(-4, 4, 33, dtype=np.float32)
    found = ACTIVATIONS[name](paddle.to_tensor(at)).numpy()
    np.testing.assert_allclose(found, [FORMULAS[name](float(x)) for x in at], atol=1e-5)

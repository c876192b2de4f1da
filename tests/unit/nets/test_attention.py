"""Relative attention against the sum that its sources write down."""

import numpy as np
import paddle
import pytest

from model_store.nets.attention import Places, RelativeAttention
from model_store.nets.positions import penalty_of, sinusoids

SIZE, HEADS, FRAMES = 12, 3, 7
HEAD_SIZE = SIZE // HEADS


@pytest.fixture
def layers() -> list[RelativeAttention]:
    paddle.seed(5)
    layers = [RelativeAttention(SIZE, HEADS) for _ in range(2)]
    for tensor in (tensor for layer in layers for tensor in layer.state_dict().values()):
        tensor.set_value(paddle.randn(tensor.shape) * 0.5)
    return layers


@pytest.fixture
def x() -> paddle.Tensor:
    return paddle.randn([2, FRAMES, SIZE])


@pytest.fixture
def place_of() -> tuple[paddle.Tensor, paddle.Tensor]:
    seen = paddle.ones([2, 1, 1, FRAMES])
    seen[1, ..., 5:] = 0.0
    return paddle.to_tensor(sinusoids(FRAMES, SIZE)), penalty_of(seen)


def expected(layer: RelativeAttention, x: np.ndarray, positions: np.ndarray, penalty: np.ndarray) -> np.ndarray:
    """((q + u) k + (q + v) p) / sqrt(d), as in RelPositionMultiHeadedAttention, in 64 bits."""
    tensors = {name: tensor.numpy().astype(np.float64) for name, tensor in layer.state_dict().items()}

    def heads(name: str, rows: np.ndarray) -> np.ndarray:
        made = rows @ tensors[f"{name}.weight"] + tensors.get(f"{name}.bias", 0.0)
        return made.reshape(len(rows), -1, HEADS, HEAD_SIZE).transpose(0, 2, 1, 3)

    query, key, value = (heads(name, x) for name in ("linear_q", "linear_k", "linear_v"))
    where, u, v = heads("linear_pos", positions), tensors["pos_bias_u"], tensors["pos_bias_v"]
    scores = (query + u[:, None]) @ key.swapaxes(2, 3) + (query + v[:, None]) @ where.swapaxes(2, 3)
    weights = np.exp(scores / np.sqrt(HEAD_SIZE) - penalty)
    mixed = weights / weights.sum(axis=-1, keepdims=True) @ value
    return mixed.transpose(0, 2, 1, 3).reshape(x.shape) @ tensors["linear_out.weight"] + tensors["linear_out.bias"]


def test_relative_attention_is_the_sum_of_content_and_position(layers, x, place_of):
    made = layers[0](x, x, *layers[0].place(*place_of)).numpy()
    wanted = expected(layers[0], *(tensor.numpy().astype(np.float64) for tensor in (x, *place_of)))
    np.testing.assert_allclose(made, wanted, atol=1e-5)


def test_places_are_those_of_each_layer(layers, place_of):
    for layer, (penalty, key_offset) in zip(layers, Places(layers)(*place_of), strict=True):
        alone_penalty, alone_offset = layer.place(*place_of)
        np.testing.assert_allclose(penalty.numpy(), alone_penalty.numpy(), rtol=1e-6, atol=1e-5)
        np.testing.assert_allclose(key_offset.numpy(), alone_offset.numpy(), atol=1e-5)

"""The convolution of a conformer block, and its norm."""

import numpy as np
import paddle
import pytest

from model_store.nets.convolution import BatchNorm, Convolution


def _scatter(layer: paddle.nn.Layer) -> None:
    """Random numbers for everything that is 0 or 1 in a new layer; variances stay positive."""
    rng = np.random.default_rng(3)
    for name, tensor in layer.state_dict().items():
        values = rng.normal(0, 1, tensor.shape)
        tensor.set_value(np.exp(values).astype(np.float32) if "var" in name else values.astype(np.float32))


def test_batch_norm_uses_the_statistics_of_training():
    norm = BatchNorm(4, epsilon=1e-2)
    _scatter(norm)
    x = np.random.default_rng(0).normal(0, 1, (2, 3, 4)).astype(np.float32)
    mean, variance = norm.running_mean.numpy(), norm.running_var.numpy()
    expected = (x - mean) / np.sqrt(variance + 1e-2) * norm.weight.numpy() + norm.bias.numpy()
    np.testing.assert_allclose(norm(paddle.to_tensor(x)).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("is_causal", [False, True])
def test_fold_keeps_the_answers_and_leaves_no_norm(conformer, is_causal):
    layer = Convolution(conformer(conv_norm="batch_norm", conv_norm_epsilon=1e-3, is_causal=is_causal))
    _scatter(layer)
    x, keep = paddle.randn([2, 11, 16]), paddle.ones([2, 11, 1])
    before, weight = layer(x, keep).numpy(), layer.depthwise_conv.weight.numpy()
    layer.fold()
    assert not [name for name in layer.state_dict() if name.startswith("norm.")]
    assert np.abs(layer.depthwise_conv.weight.numpy() - weight).max() > 0.1
    np.testing.assert_allclose(layer(x, keep).numpy(), before, atol=1e-4, rtol=1e-4)


def test_fold_of_a_layer_norm_keeps_it_and_the_answers(conformer):
    layer = Convolution(conformer())
    _scatter(layer)
    x, keep = paddle.randn([2, 11, 16]), paddle.ones([2, 11, 1])
    before = layer(x, keep).numpy()
    layer.fold()
    assert [name for name in layer.state_dict() if name.startswith("norm.")]
    np.testing.assert_allclose(layer(x, keep).numpy(), before, atol=1e-4, rtol=1e-4)


def test_convolution_that_is_causal_sees_no_later_frame(conformer):
    layer = Convolution(conformer(is_causal=True, conv_kernel=4))
    x, keep = paddle.randn([1, 12, 16]), paddle.ones([1, 12, 1])
    changed = x.clone()
    changed[:, 7] += 1.0
    difference = np.abs(layer(changed, keep).numpy() - layer(x, keep).numpy()).max(axis=(0, 2))
    assert (difference > 0).tolist() == [False] * 7 + [True] * 4 + [False]

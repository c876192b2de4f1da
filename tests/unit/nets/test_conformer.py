"""The network itself, before it is exported."""

import math

import numpy as np
import paddle
import pytest

from model_store.artifacts.manifest import Encoder
from model_store.nets.models import LanguageClassifier, Recogniser, set_weights, shapes
from model_store.nets.subsampling import sinusoids, subsampled


def _shape(*, is_causal: bool, kernel: int = 7) -> Encoder:
    return Encoder(
        kind="conformer", n_mels=80, size=16, heads=2, linear_units=32, blocks=2, subsampling="conv2d",
        positions="relative", activation="swish", conv_kernel=kernel, conv_norm="layer_norm", is_causal=is_causal,
        norm_epsilon=1e-5, conv_norm_epsilon=1e-5,
    )  # fmt: skip


def _features(*n_frames: int) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.normal(0, 1, (n, 80)).astype(np.float32) for n in n_frames]


def _run(net: paddle.nn.Layer, features: list[np.ndarray], n_frames: int) -> list[np.ndarray]:
    padded = np.full((len(features), n_frames, 80), 7.0, np.float32)
    for row, clip in zip(padded, features, strict=True):
        row[: len(clip)] = clip
    lengths = paddle.to_tensor([len(clip) for clip in features], dtype="int64")
    with paddle.no_grad():
        return [output.numpy() for output in net(paddle.to_tensor(padded), lengths)]


@pytest.mark.parametrize(("is_causal", "kernel"), [(False, 7), (True, 7), (True, 8)])
def test_recogniser_clip_in_a_padded_batch_gives_the_same_as_alone(is_causal, kernel):
    paddle.seed(0)
    net = Recogniser(_shape(is_causal=is_causal, kernel=kernel), units=20)
    net.eval()
    long, short = _features(96, 41)
    together, alone = _run(net, [long, short], 128), _run(net, [short], 41)
    n_frames = int(alone[3][0])
    assert together[3].tolist() == [23, 9]
    np.testing.assert_allclose(together[4][1, :n_frames], alone[4][0, :n_frames], atol=1e-5)


def test_recogniser_top_tokens_are_the_best_of_all_log_probs():
    net = Recogniser(_shape(is_causal=True), units=20)
    net.eval()
    top, ids, blank, _, log_probs = _run(net, _features(64), 64)
    np.testing.assert_allclose(top, -np.sort(-log_probs, axis=-1)[..., :16])
    np.testing.assert_allclose(np.take_along_axis(log_probs, ids.astype(np.int64), -1), top)
    np.testing.assert_allclose(blank, log_probs[..., 0])
    np.testing.assert_allclose(np.exp(log_probs).sum(-1), 1.0, rtol=1e-5)


def test_language_classifier_clip_in_a_padded_batch_gives_the_same_as_alone():
    net = LanguageClassifier(_shape(is_causal=False), labels=3)
    net.eval()
    long, short = _features(96, 41)
    together, alone = _run(net, [long, short], 128), _run(net, [short], 41)
    np.testing.assert_allclose(together[0][1], alone[0][0], atol=1e-5)


@pytest.mark.parametrize("n_frames", range(7, 40))
def test_subsampled_says_what_two_strided_convolutions_give(n_frames):
    expected = len(range(0, len(range(0, n_frames - 2, 2)) - 2, 2))
    assert int(subsampled(paddle.to_tensor([n_frames]))) == expected


@pytest.mark.parametrize("n_frames", [0, 1, 6])
def test_subsampled_of_too_few_frames_is_zero(n_frames):
    assert int(subsampled(paddle.to_tensor([n_frames]))) == 0


def test_sinusoids_match_the_formula_of_the_paper():
    table = sinusoids(50, 8)[0]
    for position in (0, 1, 49):
        for i in range(4):
            angle = position / 10000 ** (2 * i / 8)
            assert table[position, 2 * i] == pytest.approx(math.sin(angle), abs=1e-5)
            assert table[position, 2 * i + 1] == pytest.approx(math.cos(angle), abs=1e-5)


@pytest.mark.parametrize("damage", ["missing", "unexpected", "shape"])
def test_set_weights_that_do_not_fit_names_the_tensor(damage):
    net = Recogniser(_shape(is_causal=True), units=20)
    tensors = {name: np.zeros(shape, np.float32) for name, shape in shapes(net).items()}
    if damage == "missing":
        del tensors["ctc.ctc_lo.bias"]
    else:
        tensors["ctc.ctc_lo.bias" if damage == "shape" else "ctc.ctc_lo.extra"] = np.zeros(3, np.float32)
    with pytest.raises(ValueError, match=r"ctc\.ctc_lo\.(bias|extra)"):
        set_weights(net, tensors)

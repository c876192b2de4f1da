"""Small networks with random weights, and features to run them on."""

from collections.abc import Callable
from typing import Any

import numpy as np
import paddle
import pytest

from model_store.artifacts.manifest import ConformerShape, Decoder, Encoder, Manifest, Source, TransformerShape

_BOTH: dict[str, Any] = {
    "n_mels": 80, "size": 16, "heads": 2, "linear_units": 32, "blocks": 2, "subsampling": "conv2d",
    "positions": "relative", "activation": "swish", "norm_epsilon": 1e-5,
}  # fmt: skip
_CONFORMER = {"conv_kernel": 7, "conv_norm": "layer_norm", "conv_norm_epsilon": 1e-5, "is_causal": False}
_DECODER: dict[str, Any] = {
    "heads": 2, "linear_units": 32, "blocks": 2, "activation": "relu", "norm_epsilon": 1e-5, "sos": 19, "eos": 19,
    "ctc_weight": 0.5, "reverse_weight": 0.0,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _same_weights_every_time() -> None:
    paddle.seed(0)


@pytest.fixture
def conformer() -> Callable[..., ConformerShape]:
    """A small conformer's shape, but for what is said."""
    return lambda **changed: ConformerShape(**_BOTH | _CONFORMER | changed)


@pytest.fixture
def transformer() -> Callable[..., TransformerShape]:
    """A small transformer encoder's shape, but for what is said."""
    return lambda **changed: TransformerShape(**_BOTH | {"positions": "absolute", "activation": "relu"} | changed)


@pytest.fixture
def decoder() -> Callable[..., Decoder]:
    """A small decoder's shape, but for what is said."""
    return lambda **changed: Decoder(**_DECODER | changed)


@pytest.fixture
def manifest() -> Callable[..., Manifest]:
    """The manifest of a recogniser with that encoder, over 20 units, but for what is said."""

    def described(encoder: Encoder, **changed: Any) -> Manifest:
        return Manifest(**{
            "name": "tiny", "kind": "asr", "language": "zh", "sample_rate_hz": 16000, "units": 20, "encoder": encoder,
            "source": Source(layout="test", files={}), "files": {},
        } | changed)  # fmt: skip

    return described


@pytest.fixture
def clips() -> Callable[..., list[np.ndarray]]:
    """Features of clips of so many frames, (T, 80) each."""
    rng = np.random.default_rng(1)
    return lambda *n_frames: [rng.normal(0, 1, (n, 80)).astype(np.float32) for n in n_frames]


@pytest.fixture
def run() -> Callable[..., list[np.ndarray]]:
    """Runs a layer on clips in one batch, padded to `n_frames` with what must not matter: its outputs as arrays."""

    def _run(net: paddle.nn.Layer, features: list[np.ndarray], n_frames: int = 0, **how: int) -> list[np.ndarray]:
        padded = np.full((len(features), n_frames or max(map(len, features)), 80), 7.0, np.float32)
        for row, clip in zip(padded, features, strict=True):
            row[: len(clip)] = clip
        lengths = paddle.to_tensor([len(clip) for clip in features], dtype="int64")
        net.eval()
        with paddle.no_grad():
            return [output.numpy() for output in net(paddle.to_tensor(padded), lengths, **how)]

    return _run

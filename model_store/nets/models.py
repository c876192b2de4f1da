"""The served networks: an encoder and a head. Their outputs are what the exported graphs answer, in this order."""

# Paddle has no types.
# mypy: disallow-subclassing-any=False

from typing import Any

import numpy as np
import numpy.typing as npt
import paddle
from paddle import nn
from paddle.nn import functional as F  # noqa: N812 - everybody's name for it

from model_store.artifacts.manifest import Encoder, Manifest
from model_store.nets.conformer import ConformerEncoder

# K: the tokens per frame that leave the graph. Beyond the 16th the rest of a trained model's probability is noise.
TOP_TOKENS = 16
BLANK = 0

Tensors = dict[str, npt.NDArray[Any]]


class CtcHead(nn.Layer):
    """The projection to the vocabulary (wenet/transformer/ctc.py)."""

    def __init__(self, size: int, units: int) -> None:
        """`units` counts the blank, which is unit 0."""
        super().__init__()
        self.ctc_lo = nn.Linear(size, units)


class Recogniser(nn.Layer):
    """An encoder with a CTC head: WeNet's `asr_model` without its attention decoder."""

    outputs = ("top_log_probs", "top_ids", "blank_log_probs", "encoded_frames", "log_probs")

    def __init__(self, shape: Encoder, units: int) -> None:
        """Build the network of `shape` over `units` output units."""
        super().__init__()
        self.encoder = ConformerEncoder(shape)
        self.ctc = CtcHead(shape.size, units)
        self.top_tokens = min(TOP_TOKENS, units)

    def forward(self, feats: paddle.Tensor, lengths: paddle.Tensor) -> tuple[paddle.Tensor, ...]:
        """feats: (B, T, n_mels); lengths: (B,) int64.

        Returns the K best log-probabilities (B, T', K) and their units (B, T', K) int32, best first; the blank's
        log-probability (B, T'), the encoder frames (B,), and all log-probabilities (B, T', V), natural log.
        """
        encoded, _, encoded_frames = self.encoder(feats, lengths)
        log_probs = F.log_softmax(self.ctc.ctc_lo(encoded), axis=-1)
        top_log_probs, top_ids = paddle.topk(log_probs, self.top_tokens, axis=-1)
        return top_log_probs, top_ids.astype("int32"), log_probs[:, :, BLANK], encoded_frames, log_probs


class LanguageClassifier(nn.Layer):
    """An encoder, its frames averaged, and one linear layer over the labels."""

    outputs = ("log_posteriors",)

    def __init__(self, shape: Encoder, labels: int) -> None:
        """Build the network of `shape` over so many labels."""
        super().__init__()
        self.encoder = ConformerEncoder(shape)
        self.classifier = nn.Linear(shape.size, labels)

    def forward(self, feats: paddle.Tensor, lengths: paddle.Tensor) -> tuple[paddle.Tensor, ...]:
        """feats: (B, T, n_mels); lengths: (B,) int64. Returns log posteriors (B, L)."""
        encoded, keep, _ = self.encoder(feats, lengths)
        mean = (encoded * keep).sum(axis=1) / paddle.clip(keep.sum(axis=1), min=1.0)
        return (F.log_softmax(self.classifier(mean), axis=-1),)


Network = Recogniser | LanguageClassifier


def build(manifest: Manifest) -> Network:
    """The network that `manifest` describes, in evaluation mode, with random weights."""
    net: Network
    if manifest.kind == "asr":
        net = Recogniser(manifest.encoder, manifest.units)
    else:
        net = LanguageClassifier(manifest.encoder, manifest.units)
    net.eval()
    return net


def shapes(net: Network) -> dict[str, tuple[int, ...]]:
    """The tensors that the network needs, in Paddle's layout: linear weights are (in, out)."""
    return {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}


def set_weights(net: Network, tensors: Tensors) -> None:
    """Give the network its weights; raises ValueError naming what is missing, unexpected or has another shape."""
    expected = shapes(net)
    found = {name: tensor.shape for name, tensor in tensors.items()}
    wrong = sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))
    if wrong:
        name = wrong[0]
        raise ValueError(f"tensor {name} has shape {found.get(name)}, the network needs {expected.get(name)}")
    net.set_state_dict({name: np.ascontiguousarray(tensor, np.float32) for name, tensor in tensors.items()})

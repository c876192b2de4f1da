"""The served networks, each a few parts that become graphs of their own.

A part names its inputs and its outputs; what they mean stands in artifacts/graphs.py.
"""

# Paddle has no types.
# mypy: disallow-subclassing-any=False

from typing import Any

import numpy as np
import numpy.typing as npt
import paddle
from paddle import nn
from paddle.nn import functional as F  # noqa: N812 - everybody's name for it
from paddle.static import InputSpec

from model_store.artifacts.graphs import CLASSIFIER, DECODER, ENCODER, TOP_TOKENS
from model_store.artifacts.manifest import Encoder as EncoderShape
from model_store.artifacts.manifest import Manifest
from model_store.nets.decoder import BitransformerDecoder, TransformerDecoder, build_decoder
from model_store.nets.encoder import Encoder

BLANK = 0

Tensors = dict[str, npt.NDArray[Any]]


class CtcHead(nn.Layer):
    """The projection to the vocabulary (wenet/transformer/ctc.py)."""

    def __init__(self, size: int, units: int) -> None:
        """`units` counts the blank, which is unit 0."""
        super().__init__()
        self.ctc_lo = nn.Linear(size, units)


class CtcEncoder(nn.Layer):
    """An encoder and its CTC head: what is heard in each frame."""

    outputs = ("top_log_probs", "top_ids", "blank_log_probs", "encoded_frames", "log_probs", "encoded")

    def __init__(self, encoder: Encoder, ctc: CtcHead) -> None:
        """Share these layers with the network that they are part of."""
        super().__init__()
        self.encoder, self.ctc = encoder, ctc
        self.inputs = _speech_inputs(encoder.shape)
        self.top_tokens = min(TOP_TOKENS, ctc.ctc_lo.weight.shape[1])

    def forward(self, feats: paddle.Tensor, lengths: paddle.Tensor) -> tuple[paddle.Tensor, ...]:
        """feats: (B, T, n_mels); lengths: (B,) int64. Returns `outputs`, the K best of each frame best first."""
        encoded, _, encoded_frames = self.encoder(feats, lengths)
        log_probs = F.log_softmax(self.ctc.ctc_lo(encoded), axis=-1)
        top_log_probs, top_ids = paddle.topk(log_probs, self.top_tokens, axis=-1)
        return top_log_probs, top_ids.astype("int32"), log_probs[:, :, BLANK], encoded_frames, log_probs, encoded


class Recogniser(nn.Layer):
    """An encoder with a CTC head, and a decoder where the source has one: WeNet's `asr_model`."""

    def __init__(self, manifest: Manifest) -> None:
        """Build the network that `manifest` describes."""
        super().__init__()
        shape = manifest.encoder
        self.encoder = Encoder(shape)
        self.ctc = CtcHead(shape.size, manifest.units)
        self.decoder = build_decoder(manifest.decoder, shape.size, manifest.units) if manifest.decoder else None

    def parts(self) -> "dict[str, Part]":
        """What becomes graphs, by their names."""
        heard: dict[str, Part] = {ENCODER: CtcEncoder(self.encoder, self.ctc)}
        return heard if self.decoder is None else heard | {DECODER: self.decoder}


class LanguageClassifier(nn.Layer):
    """An encoder, its frames averaged, and one linear layer over the labels."""

    outputs = ("log_posteriors",)

    def __init__(self, manifest: Manifest) -> None:
        """Build the network that `manifest` describes."""
        super().__init__()
        self.encoder = Encoder(manifest.encoder)
        self.classifier = nn.Linear(manifest.encoder.size, manifest.units)
        self.inputs = _speech_inputs(manifest.encoder)

    def forward(self, feats: paddle.Tensor, lengths: paddle.Tensor) -> tuple[paddle.Tensor, ...]:
        """feats: (B, T, n_mels); lengths: (B,) int64. Returns log posteriors (B, L)."""
        encoded, keep, _ = self.encoder(feats, lengths)
        mean = (encoded * keep).sum(axis=1) / paddle.clip(keep.sum(axis=1), min=1.0)
        return (F.log_softmax(self.classifier(mean), axis=-1),)

    def parts(self) -> "dict[str, Part]":
        """The one graph of this network."""
        return {CLASSIFIER: self}


Network = Recogniser | LanguageClassifier
Part = CtcEncoder | TransformerDecoder | BitransformerDecoder | LanguageClassifier


def build(manifest: Manifest) -> Network:
    """The network that `manifest` describes, in evaluation mode, with random weights."""
    net: Network = Recogniser(manifest) if manifest.kind == "asr" else LanguageClassifier(manifest)
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


def _speech_inputs(shape: EncoderShape) -> tuple[InputSpec, ...]:
    return InputSpec([None, None, shape.n_mels], "float32", "feats"), InputSpec([None], "int64", "lengths")

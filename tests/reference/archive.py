"""Archives like the published ones, with random weights. Only for the process in which PaddleSpeech is loaded."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import yaml
from numpy.typing import NDArray
from paddlespeech.audio.transform.transformation import Transformation
from paddlespeech.s2t.models.u2 import U2Model
from sentencepiece import sentencepiece_model_pb2
from yacs.config import CfgNode

from tests.reference.clips import clips_of
from tests.reference.networks import (
    CMVN_FILE,
    FBANK,
    PIECES_PREFIX,
    VOCABULARY_FILE,
    Network,
    Settings,
    settings,
)

Array = NDArray[np.float32]

_SEED = 3
_LETTERS = "'ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_CJK = 0x4E00
_SPEECH_S = (0.7, 1.4, 2.8)
_UNEVENNESS = 0.05
# The last layers of what a block adds to its input.
_ADDED, _QUIETNESS = ("linear_out.weight", "w_2.weight", "pointwise_conv2.weight"), 0.4
# Most units are made rare, so that scores need not be spread out far to be decisive: all but the blank, the space with
# some letters, and some of the others.
_RARE_BIAS, _NEVER_BIAS = -8.0, -30.0
_FREQUENT = (0, *range(2, 12), *range(100, 5000, 100))
_BLANK_SHARE = 0.6
_PIECE_TYPES = {"<unk>": 2, "<s>": 3, "</s>": 3}


def write_archive(network: Network, folder: Path) -> None:
    """Lay the archive out in `folder`; the same network always gets the same weights."""
    rng = np.random.default_rng(_SEED)
    vocabulary = _vocabulary(network, rng)
    speech = _speech()
    cmvn = _cmvn(speech)
    for file in ("conf/model.yaml", VOCABULARY_FILE, network.checkpoint):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
    (folder / VOCABULARY_FILE).write_text("".join(f"{unit}\n" for unit in vocabulary), "utf-8")
    (folder / CMVN_FILE).write_text(json.dumps(cmvn))
    if network.unit_type == "spm":
        (folder / f"{PIECES_PREFIX}.model").write_bytes(_pieces_model(vocabulary[2:-1]))
    said = yaml.safe_dump(settings(network, vocabulary, cmvn), allow_unicode=True)
    (folder / "model.yaml").write_text(said, "utf-8")
    paddle.save(_weights(network, rng, speech), str(folder / f"{network.checkpoint}.pdparams"))


def _vocabulary(network: Network, rng: np.random.Generator) -> list[str]:
    n_spoken = network.units - 3
    spoken = _pieces(n_spoken, rng) if network.unit_type == "spm" else _characters(n_spoken)
    return ["<blank>", "<unk>", *spoken, "<eos>"]


def _characters(count: int) -> list[str]:
    marks = ["<space>", *_LETTERS]
    return marks + [chr(_CJK + number) for number in range(count - len(marks))]


def _pieces(count: int, rng: np.random.Generator) -> list[str]:
    """Pieces of words: those that begin one (▁) and those that go on."""
    pieces = dict.fromkeys(["▁", *_LETTERS])
    while len(pieces) < count:
        letters = "".join(rng.choice(list(_LETTERS), rng.integers(1, 6)))
        pieces[f"▁{letters}" if rng.random() < 0.6 else letters] = None
    return list(pieces)


def _pieces_model(pieces: list[str]) -> bytes:
    """A unigram model of sentencepiece's that knows these pieces."""
    model = sentencepiece_model_pb2.ModelProto()
    for number, piece in enumerate([*_PIECE_TYPES, *pieces]):
        model.pieces.add(piece=piece, score=-float(number), type=_PIECE_TYPES.get(piece, 1))
    model.trainer_spec.model_type = 1
    model.trainer_spec.vocab_size = len(model.pieces)
    model.normalizer_spec.name = "identity"
    return bytes(model.SerializeToString())


def _cmvn(speech: list[Array]) -> Settings:
    """What PaddleSpeech adds up over its training data, over this speech."""
    frames = np.concatenate(speech).astype(np.float64)
    sums = {"mean_stat": frames.sum(axis=0), "var_stat": (frames**2).sum(axis=0)}
    return {name: value.tolist() for name, value in sums.items()} | {"frame_num": len(frames)}


def _speech() -> list[Array]:
    """The features of some clips that nobody is asked about."""
    filter_bank = Transformation({"process": [FBANK]})
    return [filter_bank(clip, train=False) for clip in clips_of(_SPEECH_S, seed=_SEED)]


def _weights(network: Network, rng: np.random.Generator, speech: list[Array]) -> dict[str, Any]:
    """Random, and then brought where training would have brought them, for random networks hear nothing.

    Their blocks drown the speech, so that all frames look alike, and no unit stands out in any.
    """
    paddle.seed(_SEED)
    model = U2Model.from_config(CfgNode(settings(network, [], {}) | {"cmvn_file": ""}, new_allowed=True))
    model.eval()
    weights = model.state_dict()
    for name, weight in weights.items():
        # Fresh biases are zero and fresh norms do nothing, so a mix-up of two would not be seen.
        if weight.ndim == 1:
            weight.set_value(weight + paddle.to_tensor(rng.normal(0.0, _UNEVENNESS, weight.shape), dtype="float32"))
        if name.startswith("encoder.encoders.") and name.endswith(_ADDED):
            weight.set_value(weight * _QUIETNESS)
    frames = np.concatenate(speech)
    feats = [(clip - frames.mean(axis=0)) / frames.std(axis=0) for clip in speech]
    _centre(model.encoder.embed.out[0], model, feats)
    logits = _centre(model.ctc.ctc_lo, model, feats)
    _sharpen(model.ctc.ctc_lo, logits, network.spread)
    return dict(weights)


@paddle.no_grad()
def _centre(layer: Any, model: U2Model, feats: list[Array]) -> Array:
    """Make a linear layer's outputs zero on average over all frames; returns them, (frames, size)."""
    seen: list[Array] = []
    hook = layer.register_forward_post_hook(lambda _layer, _inputs, outputs: seen.append(outputs[0].numpy()))
    for clip in feats:
        encoded, _ = model._forward_encoder(paddle.to_tensor(clip[None]), paddle.to_tensor([len(clip)]))
        model.ctc.log_softmax(encoded)
    hook.remove()
    outputs = np.concatenate(seen)
    mean = outputs.mean(axis=0)
    layer.bias.set_value(layer.bias.numpy() - mean)
    return np.asarray(outputs - mean)


def _sharpen(layer: Any, logits: Array, spread: float) -> None:
    """Frames with few units to choose from and often a blank; the unknown unit and the end are never among them."""
    factor = spread / float(logits.std())
    layer.weight.set_value(layer.weight * factor)
    bias = layer.bias.numpy() * factor + _RARE_BIAS
    bias[list(_FREQUENT)] -= _RARE_BIAS
    lead = factor * (logits[:, _FREQUENT[1:]].max(axis=1) - logits[:, 0])
    bias[0] += np.quantile(lead, _BLANK_SHARE)
    bias[[1, -1]] = _NEVER_BIAS
    layer.bias.set_value(bias)

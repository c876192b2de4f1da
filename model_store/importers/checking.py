"""Whether exported graphs answer as the network does, and converted ones as those; whether a predictor runs on them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import paddle

from model_store.artifacts.graphs import DECODER, ENCODER, EngineName, GraphRecord, WeightBits
from model_store.artifacts.manifest import Decoder, Manifest
from model_store.engines.openvino import OpenVinoEngine
from model_store.engines.paddle import PaddleEngine
from model_store.engines.seam import Engine, EnginePrecision
from model_store.engines.tensorrt import TensorRtEngine
from model_store.errors import ImportFailed
from model_store.nets.models import Network, Part
from model_store.predictors.batching import features_of, runs_of
from model_store.predictors.features import Fbank
from model_store.predictors.hypotheses import AsrOptions, LidOptions
from model_store.predictors.load import load
from model_store.predictors.predictor import PCM_RATE_HZ
from model_store.predictors.prefixes import PrefixTree

Arrays = dict[str, npt.NDArray[Any]]

# One network computed by two libraries, both in float32.
_TOLERANCE = 1e-4
# How much probability weights of fewer bits may move, of all that there is.
_MOVED_TOLERANCE = 0.01
_ALL_BITS: Final = 32
# Rounded to 16 bits the same products differ between two libraries by as much as either from fp32.
_ROUNDED_RATIO = 2.0
# Log-probabilities, of two libraries on a GPU, which both round what they multiply.
_TENSORRT_TOLERANCE = 0.05
# The outputs that are distributions, and those that are probabilities of single tokens.
_DISTRIBUTIONS = ("log_probs", "log_posteriors")
_SINGLE = ("token_log_probs", "reverse_token_log_probs")
# As many as the search makes of a second of speech, or more.
_TOKENS = 12


@dataclass(frozen=True, slots=True)
class Check:
    """What a part of a network, run eagerly, answered to some inputs."""

    graph: str
    inputs: Arrays
    answers: Arrays

    def run(self, graph_dir: Path, record: GraphRecord) -> None:
        """Ask the exported graph the same; raises ImportFailed when it answers otherwise."""
        found = PaddleEngine(graph_dir, self.graph, record.graphs[self.graph]).run(self.inputs, list(self.answers))
        for name, answer in self.answers.items():
            # The order of near-equal units may differ; their log-probabilities may not.
            if name != "top_ids" and not np.allclose(found[name], answer, rtol=_TOLERANCE, atol=_TOLERANCE):
                raise ImportFailed(f"The exported {self.graph} answers otherwise than the network does, in {name}.")


def checks_of(net: Network, manifest: Manifest) -> list[Check]:
    """One for each graph that `net` becomes: a second of noise, and a few texts that it might be."""
    feats = features_of([_noise()], Fbank.of(manifest))[0]
    inputs: Arrays = {"feats": feats[None], "lengths": np.array([len(feats)], np.int64)}
    checks: list[Check] = []
    for graph, part in net.parts().items():
        if graph == DECODER and manifest.decoder:
            inputs = _texts(manifest.decoder, manifest.units) | {"encoded": checks[0].answers["encoded"]}
        checks.append(Check(graph, inputs, _run_eagerly(part, inputs)))
    return checks


def check_converted(
    manifest: Manifest,
    graphs: Mapping[str, Sequence[str]],
    paddle_dir: Path,
    forms: Mapping[WeightBits, Path],
    precision: EnginePrecision,
) -> WeightBits:
    """Ask OpenVINO's graphs what Paddle's are asked, batches of several shapes; raises ImportFailed when they differ.

    `forms` has them with all bits of the weights, which shows that the conversion is right, and with fewer. Returns the
    fewest with which they may be served in `precision`: probabilities move but little then, or not much more than where
    Paddle computes in that precision.
    """
    encoded: list[npt.NDArray[Any]] = []
    good = {bits for bits in forms if bits < _ALL_BITS}
    for graph in sorted(graphs, key=DECODER.__eq__):  # what it is asked about, the encoder has to answer first
        asked, outputs = list(_questions(manifest, graph, encoded)), graphs[graph]
        paddle = _answers(PaddleEngine(paddle_dir, graph, outputs), asked, outputs)
        if graph == ENCODER:
            encoded = [answer["encoded"][:1, : answer["encoded_frames"][0]] for answer in paddle]
        exact = _farthest(_answers(OpenVinoEngine(forms[_ALL_BITS], graph, outputs), asked, outputs), paddle)
        allowed = _MOVED_TOLERANCE
        if precision == "bf16":
            theirs = _answers(PaddleEngine(paddle_dir, graph, outputs, precision="bf16"), asked, outputs)
            allowed += _ROUNDED_RATIO * _moved(theirs, paddle)
        served = {bits: OpenVinoEngine(forms[bits], graph, outputs, precision=precision) for bits in good}
        moved = {bits: _moved(_answers(engine, asked, outputs), paddle) for bits, engine in served.items()}
        good = {bits for bits in good if moved[bits] <= allowed}
        if not (exact <= _TOLERANCE and good):
            told = f"{exact:.2g} off in fp32, and in {precision} moves {min(moved.values()):.2g} of the probability"
            raise ImportFailed(f"The {graph} converted for OpenVINO is {told}; {allowed:.2g} would do.")
    return min(good)


def check_optimized(
    manifest: Manifest,
    graph: str,
    outputs: Sequence[str],
    shapes: Sequence[Arrays],
    paddle_dir: Path,
    target: Path,
    precision: EnginePrecision,
    device: str,
) -> float:
    """Ask a graph that was converted for TensorRT what Paddle's is asked on that GPU: `shapes`, and usual batches.

    Returns how far it is off; raises ImportFailed when that is too far.
    """
    asked = [*shapes, *_questions(manifest, graph, [])]
    exact = _answers(PaddleEngine(paddle_dir, graph, outputs, device=device), asked, outputs)
    served = TensorRtEngine(target, graph, outputs, precision=precision, device=device)
    off, allowed = _farthest(_answers(served, asked, outputs), exact), _TENSORRT_TOLERANCE
    if precision == "fp16":
        theirs = _answers(PaddleEngine(paddle_dir, graph, outputs, precision="fp16", device=device), asked, outputs)
        allowed += _ROUNDED_RATIO * _farthest(theirs, exact)
    if not off <= allowed:
        told = f"{off:.2g} off in {precision}; {allowed:.2g} would do"
        raise ImportFailed(f"The {graph} optimised for TensorRT is {told}. Paddle serves it as before.")
    return off


def check_predictor(
    manifest: Manifest,
    version_dir: Path,
    graph_dir: Path,
    engine: EngineName = "paddle",
    precision: EnginePrecision = "fp32",
    device: str = "cpu",
) -> None:
    """Load the version and have it recognise or classify the noise; whatever is wrong raises its own error."""
    predictor = load(version_dir, graph_dir, precision=precision, threads=1, device=device, engine=engine)
    predictor.predict([_noise()], [AsrOptions() if manifest.kind == "asr" else LidOptions()])


def _questions(manifest: Manifest, graph: str, encoded: Sequence[npt.NDArray[Any]]) -> Iterator[Arrays]:
    """A clip alone, and some together of which most are padded; or a text, and ten, over what was encoded of those."""
    if graph == DECODER and manifest.decoder:
        for heard, n_texts, n_tokens in zip(encoded, (1, 10), (_TOKENS, 2 * _TOKENS), strict=True):
            yield _texts(manifest.decoder, manifest.units, n_texts, n_tokens) | {"encoded": heard}
        return
    for lengths_s in ((1.0,), (3.0, 2.2, 0.7)):
        features = features_of([_noise(length_s) for length_s in lengths_s], Fbank.of(manifest))
        for run in runs_of(features, manifest.encoder.min_frames):
            yield {"feats": run.feats, "lengths": run.lengths}


def _answers(engine: Engine, asked: Sequence[Arrays], outputs: Sequence[str]) -> list[Arrays]:
    return [engine.run(inputs, outputs) for inputs in asked]


def _farthest(found: Sequence[Arrays], answers: Sequence[Arrays]) -> float:
    """How far the worst number is off; of one beyond 5, as of log-probabilities that matter less, in proportion.

    Padding does not count, nor does the order of units that are nearly as likely. NaN where one is, and infinitely far
    where an answer has another shape.
    """
    worst = [0.0]
    for mine, theirs in zip(found, answers, strict=True):
        for name in theirs.keys() - {"top_ids"}:
            if mine[name].shape != theirs[name].shape:
                return float("inf")
            off = np.abs(mine[name].astype(np.float64) - theirs[name]) / np.maximum(1.0, np.abs(theirs[name]) / 5)
            frames = theirs.get("encoded_frames")
            kept = [off] if frames is None or off.ndim < 2 else [row[:n] for row, n in zip(off, frames, strict=True)]
            worst += [float(row.max(initial=0.0)) for row in kept]
    return float(np.max(worst))


def _moved(found: Sequence[Arrays], answers: Sequence[Arrays]) -> float:
    """How much probability is with other units, in the mean over frames that are no padding, or of tokens; 0 to 1.

    The total variation distance. What is unlikely may be far off in its logarithm, and no search ever asks for it.
    """
    shares: list[npt.NDArray[Any]] = []
    for mine, theirs in zip(found, answers, strict=True):
        frames = theirs.get("encoded_frames", ())
        for name in theirs.keys() & {*_DISTRIBUTIONS, *_SINGLE}:
            off = np.abs(np.exp(mine[name].astype(np.float64)) - np.exp(theirs[name].astype(np.float64)))
            share = off.sum(axis=-1) / 2 if name in _DISTRIBUTIONS else off
            shares += [row[:n] for row, n in zip(share, frames, strict=True)] if share.ndim > 1 else [share]
    return float(np.mean(np.concatenate(shares)))


def _noise(length_s: float = 1.0) -> npt.NDArray[np.float32]:
    """Always the same."""
    noise = np.random.default_rng(0).normal(0.0, 0.1, int(length_s * PCM_RATE_HZ))
    return noise.clip(-1.0, 1.0).astype(np.float32)


def _texts(shape: Decoder, units: int, n_texts: int = 2, n_tokens: int = _TOKENS) -> Arrays:
    """Hypotheses, in each direction that the decoder reads."""
    texts = np.random.default_rng(0).integers(0, units, (n_texts, n_tokens)).tolist()
    told: Arrays = {}
    for prefix, step in (("", 1), ("reverse_", -1)) if shape.reverse_blocks else (("", 1),):
        tree = PrefixTree(shape.sos, shape.eos)
        for text in texts:
            tree.add(text[::step])
        told |= {prefix + name: array for name, array in tree.arrays().items()}
    return told


def _run_eagerly(part: Part, inputs: Arrays) -> Arrays:
    with paddle.no_grad():
        outputs = part(*(paddle.to_tensor(inputs[spec.name]) for spec in part.inputs))
    return {name: output.numpy() for name, output in zip(part.outputs, outputs, strict=True)}

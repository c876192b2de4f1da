"""Whether exported graphs answer as the network does, and whether a predictor runs on them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import paddle

from model_store.artifacts.graphs import DECODER, GraphRecord
from model_store.artifacts.manifest import Decoder, Manifest
from model_store.engines.paddle import PaddleEngine
from model_store.errors import ImportFailed
from model_store.nets.models import Network, Part
from model_store.predictors.batching import features_of
from model_store.predictors.features import Fbank
from model_store.predictors.hypotheses import AsrOptions, LidOptions
from model_store.predictors.load import load
from model_store.predictors.predictor import PCM_RATE_HZ

Arrays = dict[str, npt.NDArray[Any]]

# One network computed by two libraries, both in float32.
_TOLERANCE = 1e-4
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


def check_predictor(manifest: Manifest, version_dir: Path, graph_dir: Path) -> None:
    """Load the version and have it recognise or classify the noise; whatever is wrong raises its own error."""
    predictor = load(version_dir, graph_dir, precision="fp32", threads=1)
    predictor.predict([_noise()], [AsrOptions() if manifest.kind == "asr" else LidOptions()])


def _noise() -> npt.NDArray[np.float32]:
    """One second, always the same."""
    noise = np.random.default_rng(0).normal(0.0, 0.1, PCM_RATE_HZ)
    return noise.clip(-1.0, 1.0).astype(np.float32)


def _texts(shape: Decoder, units: int) -> Arrays:
    tokens = np.random.default_rng(0).integers(0, units, (2, _TOKENS))
    starts, ends = np.full((2, 1), shape.sos), np.full((2, 1), shape.eos)
    directions = {"": tokens, "reverse_": tokens[:, ::-1]} if shape.reverse_blocks else {"": tokens}
    told = {f"{name}tokens": np.concatenate([starts, text], axis=1) for name, text in directions.items()}
    return told | {f"{name}targets": np.concatenate([text, ends], axis=1) for name, text in directions.items()}


def _run_eagerly(part: Part, inputs: Arrays) -> Arrays:
    with paddle.no_grad():
        outputs = part(*(paddle.to_tensor(inputs[spec.name]) for spec in part.inputs))
    return {name: output.numpy() for name, output in zip(part.outputs, outputs, strict=True)}

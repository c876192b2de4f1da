"""Derived graphs: where the static graphs of a version live, and what they depend on.

Graphs are no part of a version. They are made from the version's weights by our network code and one Paddle, so they
are kept beside the version under both, and another Paddle or newer network code simply finds none there. OpenVINO's
form of them, where there is one, is kept in the same way and under its version too; TensorRT's under all that its
engines are made for as well, a GPU and its driver, and the precision.

"encoder"     feats (B, T, n_mels) float32, lengths (B,) int64 -> top_log_probs (B, T', K), top_ids (B, T', K) int32,
              blank_log_probs (B, T'), encoded_frames (B,), log_probs (B, T', V), encoded (B, T', size)
"decoder"     encoded (1, T', size) without padding, and the hypotheses as a tree of M nodes, of which each has a token
              and is the end of a prefix: tokens (M,) int64, sos first, depths (M,) int64, seen (M, M) float32 (1 where
              the column is on the way to the row, or is it), and steps (S, 2) int64, a node and a token that follows
              it, eos at the end -> token_log_probs (S,); where there is a decoder from right to left, the same of
              reversed hypotheses: reverse_tokens and so on -> reverse_token_log_probs
"classifier"  feats, lengths -> log_posteriors (B, L)

Probabilities are natural logarithms, float32.
"""

import re
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from model_store.artifacts.files import describe, verify
from model_store.artifacts.manifest import Digest, File
from model_store.errors import ArtifactCorrupt

# Raise it with every change in `model_store.nets` that makes another graph of the same weights. It stands here, and
# not in `nets`, because the gateway needs it to find a graph and may not import Paddle.
NETS_REVISION = 4

EngineName = Literal["paddle", "openvino", "tensorrt"]
# What may be asked for; `auto` is the best that a device has, where it is there.
EngineChoice = Literal["auto", "paddle", "openvino", "tensorrt"]
PrecisionChoice = Literal["auto", "fp32", "bf16", "fp16"]
# Of a stored weight, whatever precision it is computed in.
WeightBits = Literal[8, 16, 32]

ENCODER, DECODER, CLASSIFIER = "encoder", "decoder", "classifier"
RECORD_FILE = "record.json"
# K: the tokens per frame that leave the encoder's graph. Beyond the 16th a trained model's probability is noise.
TOP_TOKENS = 16
# What TensorRT may take; the decoder's trees have shapes of too many kinds, and it stays with Paddle.
OPTIMIZED = (ENCODER, CLASSIFIER)
# The largest run that its engines are made for, and set memory aside for: as many clips, and half a minute each.
MAX_CLIPS, MAX_FRAMES = 8, 3072


class Gpu(Struct, frozen=True):
    """What TensorRT's engines are made for: the name of a GPU, its compute capability such as 9.0, and its driver."""

    name: str
    compute: str
    driver: str


class Fit(Struct, frozen=True):
    """A GPU, and the precision in which TensorRT computes there."""

    gpu: Gpu
    precision: str


class GraphRecord(Struct, frozen=True, kw_only=True):
    """What the graphs of a version were made from; `graphs` names the outputs of each in their order.

    Of OpenVINO's: `precisions` are those in which they were found to answer as Paddle's do, with weights of
    `weight_bits`. Where they did not, or could not be made, there are no graphs, and `refused` says why.

    Of TensorRT's: `precisions` has the one that it computes in, `off` how far each graph that it took was found to be
    off, and `fit` what for; `libraries` the TensorRT that made the engines.
    """

    version: Digest
    paddle: str
    nets_revision: Annotated[int, Meta(ge=1)]
    graphs: dict[str, tuple[str, ...]]
    files: dict[str, File]
    engine: EngineName = "paddle"
    precisions: tuple[str, ...] = ()
    weight_bits: WeightBits = 32
    refused: str = ""
    off: dict[str, float] = {}
    fit: Fit | None = None
    libraries: str = ""


def model_file(graph: str, engine: EngineName = "paddle") -> str:
    """The program of a graph."""
    return f"{graph}.xml" if engine == "openvino" else f"{graph}.json"


def params_file(graph: str, engine: EngineName = "paddle") -> str:
    """The weights of a graph."""
    return f"{graph}.bin" if engine == "openvino" else f"{graph}.pdiparams"


def paddle_version() -> str:
    """The version of the Paddle wheel in this environment, without importing it; "none" where there is none."""
    return _version_of("paddlepaddle", "paddlepaddle-gpu")


def openvino_version() -> str:
    """The same of OpenVINO."""
    return _version_of("openvino")


def tensorrt_version() -> str:
    """The same of TensorRT, as its wheels are called for one CUDA or another."""
    return _version_of("tensorrt", "tensorrt-cu12", "tensorrt-cu13", "tensorrt-cu11")


def can_convert() -> bool:
    """Whether all of the extra `openvino` is installed."""
    return "none" not in (openvino_version(), _version_of("paddle2onnx"))


def _version_of(*distributions: str) -> str:
    for distribution in distributions:
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return "none"


def graph_key(engine: EngineName = "paddle", fit: Fit | None = None) -> str:
    """Names the graphs that this environment can use; TensorRT's have a `fit`."""
    made_by = f"paddle-{paddle_version()}-nets-{NETS_REVISION}"
    if engine == "tensorrt" and fit is not None:
        told = f"{fit.precision}-{fit.gpu.name}-sm{fit.gpu.compute}-driver-{fit.gpu.driver}"
        what_for = re.sub(r"[^A-Za-z0-9.]+", "-", told)
        return f"tensorrt-{tensorrt_version()}-{what_for}-{MAX_CLIPS}x{MAX_FRAMES}-{made_by}"
    return made_by if engine == "paddle" else f"openvino-{openvino_version()}-{made_by}"


def write_record(directory: Path, version: str, graphs: Mapping[str, Sequence[str]], **more: Any) -> GraphRecord:
    """Describe the graph files in `directory`, and leave the description with them; `more` are other fields of it.

    What lies in a folder with the name of a graph belongs to it.
    """
    engine: EngineName = more.get("engine", "paddle")
    names = [name for graph in graphs for name in (model_file(graph, engine), params_file(graph, engine))]
    names += [str(path.relative_to(directory)) for graph in graphs for path in sorted((directory / graph).glob("*"))]
    record = GraphRecord(
        version=version,
        paddle=paddle_version(),
        nets_revision=NETS_REVISION,
        graphs={graph: tuple(outputs) for graph, outputs in graphs.items()},
        files={name: describe(directory / name) for name in names},
        **more,
    )
    (directory / RECORD_FILE).write_bytes(msgspec.json.encode(record, order="sorted"))
    return record


def read_record(directory: Path) -> GraphRecord:
    """The description of the graphs in `directory`, checked against their files; raises ArtifactCorrupt."""
    record = find_record(directory)
    verify(directory, record.files)
    return record


def find_record(directory: Path) -> GraphRecord:
    """The description of the graphs in `directory`, whose files are not looked at; raises ArtifactCorrupt."""
    record = look_up(directory)
    if record is None:
        raise ArtifactCorrupt("There is no usable graph for this Paddle. Run `python -m model_store.importers graph`.")
    return record


def look_up(directory: Path) -> GraphRecord | None:
    """The description of the graphs in `directory`, where there is a readable one; their files are not looked at."""
    try:
        return msgspec.json.decode((directory / RECORD_FILE).read_bytes(), type=GraphRecord)
    except (OSError, msgspec.MsgspecError):
        return None

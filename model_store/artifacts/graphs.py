"""Derived graphs: where the static graphs of a version live, and what they depend on.

Graphs are no part of a version. They are made from the version's weights by our network code and one Paddle, so they
are kept beside the version under both, and another Paddle or newer network code simply finds none there. OpenVINO's
form of them, where there is one, is kept in the same way and under its version too.

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

EngineName = Literal["paddle", "openvino"]

ENCODER, DECODER, CLASSIFIER = "encoder", "decoder", "classifier"
RECORD_FILE = "record.json"
# K: the tokens per frame that leave the encoder's graph. Beyond the 16th a trained model's probability is noise.
TOP_TOKENS = 16


class GraphRecord(Struct, frozen=True, kw_only=True):
    """What the graphs of a version were made from; `graphs` names the outputs of each in their order.

    Of OpenVINO's: `precisions` are those in which they were found to answer as Paddle's do. Where they did not, or
    could not be made, there are no graphs, and `refused` says why.
    """

    version: Digest
    paddle: str
    nets_revision: Annotated[int, Meta(ge=1)]
    graphs: dict[str, tuple[str, ...]]
    files: dict[str, File]
    engine: EngineName = "paddle"
    precisions: tuple[str, ...] = ()
    refused: str = ""


def model_file(graph: str, engine: EngineName = "paddle") -> str:
    """The program of a graph."""
    return f"{graph}.json" if engine == "paddle" else f"{graph}.xml"


def params_file(graph: str, engine: EngineName = "paddle") -> str:
    """The weights of a graph."""
    return f"{graph}.pdiparams" if engine == "paddle" else f"{graph}.bin"


def paddle_version() -> str:
    """The version of the Paddle wheel in this environment, without importing it; "none" where there is none."""
    return _version_of("paddlepaddle", "paddlepaddle-gpu")


def openvino_version() -> str:
    """The same of OpenVINO."""
    return _version_of("openvino")


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


def graph_key(engine: EngineName = "paddle") -> str:
    """Names the graphs that this environment can use."""
    made_by = f"paddle-{paddle_version()}-nets-{NETS_REVISION}"
    return made_by if engine == "paddle" else f"openvino-{openvino_version()}-{made_by}"


def write_record(directory: Path, version: str, graphs: Mapping[str, Sequence[str]], **more: Any) -> GraphRecord:
    """Describe the graph files in `directory`, and leave the description with them; `more` are other fields of it."""
    engine: EngineName = more.get("engine", "paddle")
    names = [name for graph in graphs for name in (model_file(graph, engine), params_file(graph, engine))]
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

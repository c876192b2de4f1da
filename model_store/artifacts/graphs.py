"""Derived graphs: where the static graphs of a version live, and what they depend on.

Graphs are no part of a version. They are made from the version's weights by our network code and one Paddle, so they
are kept beside the version under both, and another Paddle or newer network code simply finds none there.

"encoder"     feats (B, T, n_mels) float32, lengths (B,) int64 -> top_log_probs (B, T', K), top_ids (B, T', K) int32,
              blank_log_probs (B, T'), encoded_frames (B,), log_probs (B, T', V), encoded (B, T', size)
"decoder"     encoded (1, T', size) without padding, tokens and targets (N, L) int64, which are sos and a hypothesis,
              and the hypothesis and eos, padded with eos -> token_log_probs (N, L), of each target; where there is a
              decoder from right to left, the same of reversed hypotheses: reverse_tokens, reverse_targets ->
              reverse_token_log_probs. What stands at padding means nothing.
"classifier"  feats, lengths -> log_posteriors (B, L)

Probabilities are natural logarithms, float32.
"""

from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from model_store.artifacts.files import describe, verify
from model_store.artifacts.manifest import Digest, File
from model_store.errors import ArtifactCorrupt

# Raise it with every change in `model_store.nets` that makes another graph of the same weights. It stands here, and
# not in `nets`, because the gateway needs it to find a graph and may not import Paddle.
NETS_REVISION = 3

ENCODER, DECODER, CLASSIFIER = "encoder", "decoder", "classifier"
RECORD_FILE = "record.json"
# K: the tokens per frame that leave the encoder's graph. Beyond the 16th a trained model's probability is noise.
TOP_TOKENS = 16


class GraphRecord(Struct, frozen=True, kw_only=True):
    """What the graphs of a version were made from; `graphs` names the outputs of each in their order."""

    version: Digest
    paddle: str
    nets_revision: Annotated[int, Meta(ge=1)]
    graphs: dict[str, tuple[str, ...]]
    files: dict[str, File]


def model_file(graph: str) -> str:
    """The program of a graph."""
    return f"{graph}.json"


def params_file(graph: str) -> str:
    """The weights of a graph."""
    return f"{graph}.pdiparams"


def paddle_version() -> str:
    """The version of the Paddle wheel in this environment, without importing it; "none" where there is none."""
    for distribution in ("paddlepaddle", "paddlepaddle-gpu"):
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return "none"


def graph_key() -> str:
    """Names the graphs that this environment can use."""
    return f"paddle-{paddle_version()}-nets-{NETS_REVISION}"


def write_record(directory: Path, version: str, graphs: Mapping[str, Sequence[str]]) -> GraphRecord:
    """Describe the graph files in `directory`, and leave the description with them."""
    names = [name for graph in graphs for name in (model_file(graph), params_file(graph))]
    record = GraphRecord(
        version=version,
        paddle=paddle_version(),
        nets_revision=NETS_REVISION,
        graphs={graph: tuple(outputs) for graph, outputs in graphs.items()},
        files={name: describe(directory / name) for name in names},
    )
    (directory / RECORD_FILE).write_bytes(msgspec.json.encode(record, order="sorted"))
    return record


def read_record(directory: Path) -> GraphRecord:
    """The description of the graphs in `directory`, checked against their files; raises ArtifactCorrupt."""
    try:
        record = msgspec.json.decode((directory / RECORD_FILE).read_bytes(), type=GraphRecord)
    except (OSError, msgspec.MsgspecError) as exc:
        raise ArtifactCorrupt(
            "There is no usable graph for this Paddle. Run `python -m model_store.importers graph`."
        ) from exc
    verify(directory, record.files)
    return record

"""Derived graphs: where the static graph of a version lives, and what it depends on.

A graph is no part of a version. It is made from the version's weights by our network code and one Paddle, so it is
kept beside the version under both, and another Paddle or newer network code simply finds none there.
"""

from collections.abc import Sequence
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
NETS_REVISION = 1

GRAPH_PREFIX = "graph"
MODEL_FILE = f"{GRAPH_PREFIX}.json"
PARAMS_FILE = f"{GRAPH_PREFIX}.pdiparams"
RECORD_FILE = "record.json"


class GraphRecord(Struct, frozen=True, kw_only=True):
    """What a graph was made from, and the names of its outputs in their order."""

    version: Digest
    paddle: str
    nets_revision: Annotated[int, Meta(ge=1)]
    outputs: tuple[str, ...]
    files: dict[str, File]


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


def write_record(directory: Path, version: str, outputs: Sequence[str]) -> GraphRecord:
    """Describe the graph files in `directory`, and leave the description with them."""
    record = GraphRecord(
        version=version,
        paddle=paddle_version(),
        nets_revision=NETS_REVISION,
        outputs=tuple(outputs),
        files={name: describe(directory / name) for name in (MODEL_FILE, PARAMS_FILE)},
    )
    (directory / RECORD_FILE).write_bytes(msgspec.json.encode(record, order="sorted"))
    return record


def read_record(directory: Path) -> GraphRecord:
    """The description of the graph in `directory`, checked against its files; raises ArtifactCorrupt."""
    try:
        record = msgspec.json.decode((directory / RECORD_FILE).read_bytes(), type=GraphRecord)
    except (OSError, msgspec.MsgspecError) as exc:
        raise ArtifactCorrupt(
            "There is no usable graph for this Paddle. Run `python -m model_store.importers graph`."
        ) from exc
    verify(directory, record.files)
    return record

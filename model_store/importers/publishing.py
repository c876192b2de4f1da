"""The last half of every import: write the version, export its graphs, run them, and publish all or nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from msgspec import structs
from safetensors.numpy import load_file, save_file

from model_store.artifacts.files import describe
from model_store.artifacts.graphs import write_record
from model_store.artifacts.manifest import MANIFEST_FILE, UNITS_FILE, WEIGHTS_FILE, Manifest
from model_store.artifacts.store import ArtifactStore
from model_store.errors import ImportFailed
from model_store.importers.checking import check_predictor, checks_of
from model_store.nets.export import export_graphs
from model_store.nets.models import build, set_weights

Tensors = Mapping[str, npt.NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Draft:
    """A model that has been read and not yet written; `manifest.files` is empty."""

    manifest: Manifest
    tensors: Tensors
    units_text: str


def publish(draft: Draft, store: ArtifactStore) -> str:
    """Write, export, check and publish; returns the version's digest. Raises ImportFailed, and leaves nothing then."""
    with store.stage() as stage:
        manifest, version_dir = _write_version(draft, stage)
        if not store.has_graph(manifest.digest):
            graph_dir = stage / "graph"
            _make_graphs(manifest, draft.tensors, version_dir, graph_dir)
            # The graphs first: whoever sees the version finds them.
            store.publish_graph(graph_dir, manifest.digest)
        return store.publish(version_dir, manifest)


def make_graph(digest: str, store: ArtifactStore) -> Path:
    """Where the graphs of a version for this Paddle are; they are made now when there are none. Raises ImportFailed."""
    if store.has_graph(digest):
        return store.graph_dir(digest)
    store.verify(digest)
    version_dir = store.version_dir(digest)
    with store.stage() as stage:
        graph_dir = stage / "graph"
        _make_graphs(store.manifest(digest), load_file(version_dir / WEIGHTS_FILE), version_dir, graph_dir)
        return store.publish_graph(graph_dir, digest)


def _write_version(draft: Draft, stage: Path) -> tuple[Manifest, Path]:
    unnamed = stage / "version"
    unnamed.mkdir()
    save_file(dict(draft.tensors), unnamed / WEIGHTS_FILE)
    (unnamed / UNITS_FILE).write_text(draft.units_text, "utf-8")
    files = {name: describe(unnamed / name) for name in (WEIGHTS_FILE, UNITS_FILE)}
    manifest = structs.replace(draft.manifest, files=files)
    (unnamed / MANIFEST_FILE).write_bytes(manifest.to_json())
    return manifest, unnamed.rename(stage / manifest.digest)


def _make_graphs(manifest: Manifest, tensors: Tensors, version_dir: Path, graph_dir: Path) -> None:
    graph_dir.mkdir()
    net = build(manifest)
    try:
        set_weights(net, dict(tensors))
    except ValueError as exc:
        raise ImportFailed(f"The weights do not fit the network: {exc}.") from exc
    # Before the export, which folds weights into others: that is checked too.
    checks = checks_of(net, manifest)
    record = write_record(graph_dir, manifest.digest, export_graphs(net, graph_dir))
    for check in checks:
        check.run(graph_dir, record)
    check_predictor(manifest, version_dir, graph_dir)

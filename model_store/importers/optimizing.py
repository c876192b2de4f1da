"""A version's graphs for TensorRT on one GPU, which have to answer as Paddle's do there. Not run on a GPU yet."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from model_store.artifacts.graphs import (
    MAX_CLIPS,
    MAX_FRAMES,
    OPTIMIZED,
    Fit,
    GraphRecord,
    model_file,
    params_file,
    read_record,
    write_record,
)
from model_store.artifacts.manifest import Manifest
from model_store.artifacts.store import ArtifactStore
from model_store.engines.seam import EnginePrecision
from model_store.engines.tensorrt import convert, require
from model_store.importers.checking import Arrays, check_optimized, check_predictor
from model_store.importers.publishing import make_graph

# The smallest run that there is, one of a few seconds of several callers, and the largest.
_SHAPES: Final = ((1, 32), (4, 320), (MAX_CLIPS, MAX_FRAMES))


def optimize(digest: str, store: ArtifactStore, fit: Fit, device: str = "gpu:0") -> GraphRecord:
    """Convert a version's graphs for `device`, which is a `fit.gpu`; returns what was found, now or at an earlier time.

    Raises ImportFailed, and leaves nothing then.
    """
    if not store.has_graph(digest, "tensorrt", fit):
        libraries = require()
        make_graph(digest, store)
        with store.stage() as stage:
            target = stage / "tensorrt"
            target.mkdir()
            _make(digest, store, fit, target, device, libraries)
            store.publish_graph(target, digest, "tensorrt", fit)
    return read_record(store.graph_dir(digest, "tensorrt", fit))


def _make(digest: str, store: ArtifactStore, fit: Fit, target: Path, device: str, libraries: str) -> None:
    manifest, paddle_dir = store.manifest(digest), store.graph_dir(digest)
    graphs = read_record(paddle_dir).graphs
    precision: EnginePrecision = "fp16" if fit.precision == "fp16" else "fp32"
    off: dict[str, float] = {}
    for graph, outputs in graphs.items():
        if graph in OPTIMIZED:
            shapes = list(shapes_of(manifest))
            convert(paddle_dir, graph, shapes, target, precision)
            off[graph] = check_optimized(manifest, graph, outputs, shapes, paddle_dir, target, precision, device)
        else:
            for name in (model_file(graph), params_file(graph)):
                shutil.copyfile(paddle_dir / name, target / name)
    told = {"precisions": (precision,), "off": off, "fit": fit, "libraries": libraries}
    write_record(target, digest, graphs, engine="tensorrt", **told)
    check_predictor(manifest, store.version_dir(digest), target, "tensorrt", precision, device)


def shapes_of(manifest: Manifest) -> Iterator[Arrays]:
    """What an encoder or a classifier may be asked, from the smallest to the largest; always the same."""
    noise = np.random.default_rng(0)
    for n_clips, n_frames in _SHAPES:
        feats = noise.normal(0.0, 1.0, (n_clips, n_frames, manifest.encoder.n_mels)).astype(np.float32)
        yield {"feats": feats, "lengths": np.full(n_clips, n_frames, np.int64)}

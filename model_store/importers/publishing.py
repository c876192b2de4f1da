"""The last half of every import: write the version, export its graph, run it, and publish both or nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import paddle
from msgspec import structs
from safetensors.numpy import load_file, save_file

from model_store.artifacts.files import describe
from model_store.artifacts.graphs import write_record
from model_store.artifacts.manifest import MANIFEST_FILE, UNITS_FILE, WEIGHTS_FILE, Manifest
from model_store.artifacts.store import ArtifactStore
from model_store.engines.paddle import PaddleEngine
from model_store.errors import ImportFailed
from model_store.nets.export import export_graph
from model_store.nets.models import Network, build, set_weights
from model_store.predictors.features import Fbank
from model_store.predictors.hypotheses import AsrOptions, LidOptions
from model_store.predictors.load import load

Tensors = Mapping[str, npt.NDArray[np.float32]]

# Log-probabilities of one graph computed by two libraries, both in float32.
_TOLERANCE = 1e-4


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
            _make_graph(manifest, draft.tensors, version_dir, graph_dir)
            # The graph first: whoever sees the version finds its graph.
            store.publish_graph(graph_dir, manifest.digest)
        return store.publish(version_dir, manifest)


def make_graph(digest: str, store: ArtifactStore) -> Path:
    """The graph of a published version for this Paddle, exported now when there is none. Raises ImportFailed."""
    if store.has_graph(digest):
        return store.graph_dir(digest)
    store.verify(digest)
    version_dir = store.version_dir(digest)
    with store.stage() as stage:
        graph_dir = stage / "graph"
        _make_graph(store.manifest(digest), load_file(version_dir / WEIGHTS_FILE), version_dir, graph_dir)
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


def _make_graph(manifest: Manifest, tensors: Tensors, version_dir: Path, graph_dir: Path) -> None:
    graph_dir.mkdir()
    net = build(manifest)
    try:
        set_weights(net, dict(tensors))
    except ValueError as exc:
        raise ImportFailed(f"The weights do not fit the network: {exc}.") from exc
    feats = _noise_features(manifest)
    expected = _run_eagerly(net, feats)
    export_graph(net, manifest.encoder.n_mels, graph_dir)
    write_record(graph_dir, manifest.digest, net.outputs)
    _check_graph(graph_dir, net, feats, expected)
    _check_predictor(manifest, version_dir, graph_dir)


def _noise(manifest: Manifest) -> npt.NDArray[np.float32]:
    """One second, always the same."""
    noise = np.random.default_rng(0).normal(0.0, 0.1, manifest.sample_rate_hz)
    return noise.clip(-1.0, 1.0).astype(np.float32)


def _noise_features(manifest: Manifest) -> npt.NDArray[np.float32]:
    return Fbank(manifest.sample_rate_hz, manifest.encoder.n_mels)(_noise(manifest))


def _run_eagerly(net: Network, feats: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
    with paddle.no_grad():
        outputs = net(paddle.to_tensor(feats[None]), paddle.to_tensor([len(feats)], dtype="int64"))
    return {name: output.numpy() for name, output in zip(net.outputs, outputs, strict=True)}


def _check_graph(
    graph_dir: Path, net: Network, feats: npt.NDArray[np.float32], expected: Mapping[str, npt.NDArray[np.float32]]
) -> None:
    engine = PaddleEngine(graph_dir, net.outputs)
    found = engine.run({"feats": feats[None], "lengths": np.array([len(feats)], np.int64)}, net.outputs)
    for name in net.outputs:
        # The order of near-equal units may differ; their log-probabilities may not.
        if name != "top_ids" and not np.allclose(found[name], expected[name], rtol=_TOLERANCE, atol=_TOLERANCE):
            raise ImportFailed(f"The exported graph answers otherwise than the network does, in {name}.")


def _check_predictor(manifest: Manifest, version_dir: Path, graph_dir: Path) -> None:
    predictor = load(version_dir, graph_dir, precision="fp32", threads=1)
    predictor.predict([_noise(manifest)], [AsrOptions() if manifest.kind == "asr" else LidOptions()])

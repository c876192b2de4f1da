"""From Paddle's graphs by way of ONNX to OpenVINO's, with weights of 16 bits, which have to answer as Paddle's do."""

import tempfile
from pathlib import Path

import structlog

from model_store.artifacts.graphs import can_convert, model_file, params_file, read_record, write_record
from model_store.artifacts.store import ArtifactStore
from model_store.engines.cpu import best_cpu_precision
from model_store.engines.openvino import save
from model_store.errors import ImportFailed, VoxgateError
from model_store.importers.checking import check_converted, check_predictor
from model_store.importers.shapes import stuck_at

log = structlog.get_logger()

# From 18 on a reduction has its axes as an input: before that, OpenVINO 2026.4 overlooks those of a log-sum-exp and
# reduces over all (its issue 38238), and the decoder's scores are wrong.
_OPSET = 18


def convert(digest: str, store: ArtifactStore) -> None:
    """Give a version, whose graphs for Paddle are there, those for OpenVINO, or a record of why it has none.

    Nothing where OpenVINO is not installed, or where it was done before. It is for the best precision of this processor
    alone; what is refused, and the other precision, are Paddle's.
    """
    if not can_convert() or store.has_graph(digest, "openvino"):
        return
    with store.stage() as stage:
        target = stage / "openvino"
        target.mkdir()
        try:
            _make(store, digest, target)
        # Three libraries raise what they like here, and none of it says that the version cannot be served.
        except Exception as exc:
            refused = exc.message if isinstance(exc, VoxgateError) else f"{type(exc).__name__}: {exc}"
            log.warning("importers.not_converted", version=digest[:12], reason=refused[:500])
            for path in target.iterdir():
                path.unlink()
            write_record(target, digest, {}, engine="openvino", refused=refused[:500])
        store.publish_graph(target, digest, "openvino")


def _make(store: ArtifactStore, digest: str, target: Path) -> None:
    manifest, paddle_dir = store.manifest(digest), store.graph_dir(digest)
    graphs, precision = read_record(paddle_dir).graphs, best_cpu_precision()
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        exact = Path(folder)
        for graph in graphs:
            onnx = to_onnx(paddle_dir, graph, exact)
            save(onnx, exact, graph, is_halved=False)
            save(onnx, target, graph, is_halved=True)
            onnx.unlink()
        check_converted(manifest, graphs, paddle_dir, exact, target, precision)
    write_record(target, digest, graphs, engine="openvino", precisions=(precision,))
    if stuck := stuck_at(target, precision, manifest.encoder.n_mels):
        raise ImportFailed(f"The encoder converted for OpenVINO does not come back from {stuck} in {precision}.")
    check_predictor(manifest, store.version_dir(digest), target, "openvino", precision)


def to_onnx(paddle_dir: Path, graph: str, folder: Path) -> Path:
    """Write one of Paddle's graphs as `<graph>.onnx` into `folder`; returns where it is."""
    import paddle2onnx

    onnx, program, params = folder / f"{graph}.onnx", paddle_dir / model_file(graph), paddle_dir / params_file(graph)
    # What it would optimise, OpenVINO does.
    how = {"enable_optimize": False, "optimize_tool": "none", "verbose": False}
    paddle2onnx.export(str(program), str(params), str(onnx), opset_version=_OPSET, **how)
    if not onnx.is_file():
        raise ImportFailed(f"paddle2onnx made nothing of the {graph} graph.")
    return onnx

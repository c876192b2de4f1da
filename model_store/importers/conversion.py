"""From Paddle's graphs by way of ONNX to OpenVINO's, with weights of 8 or 16 bits, which have to answer as Paddle's."""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

import structlog

from model_store.artifacts.graphs import WeightBits, can_convert, model_file, params_file, read_record, write_record
from model_store.artifacts.store import ArtifactStore
from model_store.engines.cpu import best_cpu_precision
from model_store.engines.openvino import save, save_compressed
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
        forms = _forms(paddle_dir, graphs, Path(folder))
        bits = check_converted(manifest, graphs, paddle_dir, forms, precision)
        for file in forms[bits].iterdir():
            file.replace(target / file.name)
    write_record(target, digest, graphs, engine="openvino", precisions=(precision,), weight_bits=bits)
    if stuck := stuck_at(target, precision, manifest.encoder.n_mels):
        raise ImportFailed(f"The encoder converted for OpenVINO does not come back from {stuck} in {precision}.")
    check_predictor(manifest, store.version_dir(digest), target, "openvino", precision)


def _forms(paddle_dir: Path, graphs: Iterable[str], folder: Path) -> dict[WeightBits, Path]:
    """The graphs with weights of all bits, and of fewer; each form in a folder of its own."""
    forms: dict[WeightBits, Path] = {bits: folder / str(bits) for bits in get_args(WeightBits)}
    for form in forms.values():
        form.mkdir()
    for graph in graphs:
        onnx = to_onnx(paddle_dir, graph, folder)
        for bits in (16, 32):
            save(onnx, forms[bits], graph, is_halved=bits == 16)
        save_compressed(forms[16], forms[8], graph)
        onnx.unlink()
    return forms


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

"""OpenVINO: a converted graph on a CPU, named arrays in and out. In the extra `openvino`.

It is imported when an engine is made, not with this module.
"""

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from model_store.artifacts.graphs import model_file, openvino_version
from model_store.artifacts.staging import staging_dir
from model_store.engines.compression import compress
from model_store.engines.faults import as_error
from model_store.engines.seam import Array, EnginePrecision, check_precision, contiguous
from model_store.errors import LoadFailed, PredictFailed

_HINTS = {"fp32": "f32", "bf16": "bf16"}
_CACHED_SHAPES = 100


class OpenVinoEngine:
    """See `seam.Engine`."""

    def __init__(
        self,
        graph_dir: Path,
        graph: str,
        outputs: Sequence[str],
        *,
        precision: EnginePrecision = "fp32",
        threads: int = 1,
        device: str = "cpu",
    ) -> None:
        """Load `graph` of those in `graph_dir`; `outputs` names its outputs in their order.

        Raises LoadFailed or DeviceMemoryExhausted.
        """
        if device != "cpu":
            raise LoadFailed(f"OpenVINO runs on CPUs alone, not on {device}. Set runtime.engine to auto.")
        check_precision(precision, device)
        try:
            compiled = _compiled(graph_dir, graph, precision, threads)
            self._request = compiled.create_infer_request()
        # OpenVINO raises bare RuntimeError; ImportError where the extra is not there.
        except Exception as exc:
            raise as_error(exc, LoadFailed, f"OpenVINO cannot load the {graph} graph") from exc
        self._graph = graph
        self._outputs = {name: at for (at, _), name in zip(enumerate(compiled.outputs), outputs, strict=True)}

    def run(self, inputs: Mapping[str, Array], wanted: Sequence[str]) -> dict[str, Array]:
        """See `seam.Engine.run`."""
        try:
            self._request.infer(contiguous(inputs), share_inputs=True, share_outputs=True)
            return {name: self._request.get_output_tensor(self._outputs[name]).data.copy() for name in wanted}
        except Exception as exc:
            raise as_error(exc, PredictFailed, f"OpenVINO cannot run the {self._graph} graph") from exc


def preload() -> None:
    """Pay for the import of OpenVINO now, where it is installed; it starts no thread."""
    if openvino_version() != "none":
        _openvino()


def save(onnx: Path, directory: Path, graph: str, *, is_halved: bool) -> None:
    """Write an ONNX model as `graph` into `directory`; `is_halved` gives its weights 16 bits each."""
    model = _core().read_model(onnx)
    _openvino().save_model(model, directory / model_file(graph, "openvino"), compress_to_fp16=is_halved)


def save_compressed(halved_dir: Path, directory: Path, graph: str) -> None:
    """Write `graph` of those with weights of 16 bits into `directory`, its matrices with 8; see compression.py.

    What is no matrix keeps its 16 bits: OpenVINO would not halve it any more once there are 8 anywhere.
    """
    model = _core().read_model(halved_dir / model_file(graph, "openvino"))
    compress(model)
    _openvino().save_model(model, directory / model_file(graph, "openvino"))


def _openvino() -> Any:
    """The library, which tells its makers of every import, unless what it tells them with is not there."""
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import openvino

    return openvino


@cache
def _core() -> Any:
    return _openvino().Core()


def _compiled(graph_dir: Path, graph: str, precision: EnginePrecision, threads: int) -> Any:
    config: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        # Every worker would take the same first cores for its own.
        "ENABLE_CPU_PINNING": False,
        # What it prepared for each shape stays, by default of 5000 of them: a worker grew for an hour.
        "CPU_RUNTIME_CACHE_CAPACITY": _CACHED_SHAPES,
    }
    with _kept(graph_dir.with_name(f"{graph_dir.name}-compiled")) as folder:
        if folder is not None:
            # Without the weights, which stay mapped from the graph's file.
            config |= {"CACHE_DIR": str(folder), "CACHE_MODE": "OPTIMIZE_SIZE"}
        return _core().compile_model(graph_dir / model_file(graph, "openvino"), "CPU", config)


@contextlib.contextmanager
def _kept(shared: Path) -> Iterator[Path | None]:
    """A folder with what was compiled before, out of `shared`, and into which new things go; None if not writable.

    OpenVINO writes in place, and trusts what it finds. So it gets links to what others have finished, and what it adds
    is shared in one step: of two workers that start at once neither reads what the other has half written, nor does
    anybody what a worker left that was killed.
    """
    with contextlib.ExitStack() as stack:
        try:
            own = stack.enter_context(staging_dir(shared))
            for one in shared.glob("*.blob"):
                os.link(one, own / one.name)
        except OSError:
            yield None
            return
        yield own
        with contextlib.suppress(OSError):
            for one in own.glob("*.blob"):
                one.replace(shared / one.name)

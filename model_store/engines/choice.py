"""Which engine runs a version on a device, and how one is made."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from model_store.artifacts.graphs import EngineName, GraphRecord, openvino_version
from model_store.engines import openvino, paddle
from model_store.engines.seam import Engine, EnginePrecision
from model_store.errors import LoadFailed

EngineChoice = Literal["auto", "paddle", "openvino"]


def choose(
    wanted: EngineChoice, kind: Literal["cpu", "gpu"], precision: EnginePrecision, converted: GraphRecord | None
) -> EngineName:
    """The engine for a version, whose graphs for OpenVINO are `converted`; a GPU always has Paddle.

    Raises LoadFailed where OpenVINO is demanded and cannot run the version in this precision.
    """
    if kind != "cpu" or wanted == "paddle":
        return "paddle"
    if converted is not None and precision in converted.precisions:
        return "openvino"
    if wanted == "openvino":
        raise LoadFailed(f"{hindrance(precision, converted)} Or set runtime.engine to auto.")
    return "paddle"


def hindrance(precision: EnginePrecision, converted: GraphRecord | None) -> str:
    """Why OpenVINO does not run a version in this precision."""
    if converted is not None:
        return converted.refused or f"Its graphs for OpenVINO were not held against Paddle's in {precision}."
    if openvino_version() == "none":
        return "OpenVINO is not installed; run `pip install 'voxgate[openvino]'`."
    return "The version has no graphs for OpenVINO; run `python -m model_store.importers graph`."


def make_engine(
    name: EngineName,
    graph_dir: Path,
    graph: str,
    outputs: Sequence[str],
    *,
    precision: EnginePrecision,
    threads: int,
    device: str = "cpu",
) -> Engine:
    """The engine of that name with `graph`; see its own constructor."""
    kind = paddle.PaddleEngine if name == "paddle" else openvino.OpenVinoEngine
    return kind(graph_dir, graph, outputs, precision=precision, threads=threads, device=device)


def preload() -> None:
    """Import now what engines are made of; no device is touched on a CPU build of Paddle, and no thread is started."""
    paddle.preload()
    openvino.preload()

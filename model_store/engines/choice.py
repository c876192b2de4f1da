"""Which engine runs a version on a device, in which precision, and how one is made."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

from model_store.artifacts.graphs import EngineChoice, EngineName, GraphRecord, PrecisionChoice, openvino_version
from model_store.engines import openvino, paddle, tensorrt
from model_store.engines.cpu import best_cpu_precision
from model_store.engines.seam import Engine, EnginePrecision
from model_store.errors import LoadFailed

Kind = Literal["cpu", "gpu"]

# What is meant for a kind of device; the rest says nothing of it.
_ENGINES: Final[Mapping[Kind, tuple[EngineChoice, ...]]] = {
    "cpu": ("auto", "paddle", "openvino"),
    "gpu": ("auto", "paddle", "tensorrt"),
}
_PRECISIONS: Final[Mapping[Kind, tuple[PrecisionChoice, ...]]] = {
    "cpu": ("auto", "fp32", "bf16"),
    "gpu": ("auto", "fp32", "fp16"),
}
_FASTER: Final[Mapping[Kind, EngineName]] = {"cpu": "openvino", "gpu": "tensorrt"}
_AUTO: Final = "`voxgate models rules NAME --engine auto`, or `runtime.engine`, leaves it to Paddle."


def engine_said(kind: Kind, wanted: Sequence[EngineChoice | None]) -> EngineChoice:
    """The first of `wanted` that says something of this kind of device: openvino does of CPUs, tensorrt of GPUs."""
    return next((one for one in wanted if one is not None and one in _ENGINES[kind]), "paddle")


def precision_said(kind: Kind, wanted: Sequence[PrecisionChoice | None]) -> PrecisionChoice:
    """The first of `wanted` that says something of this kind of device: bf16 does of CPUs alone, fp16 of GPUs."""
    return next((one for one in wanted if one is not None and one in _PRECISIONS[kind]), "auto")


def choose_precision(kind: Kind, wanted: Sequence[PrecisionChoice | None]) -> EnginePrecision:
    """The precision for a kind of device on this machine, of whose choices the first counts that says something."""
    said = precision_said(kind, wanted)
    if said != "auto":
        return said
    return "fp16" if kind == "gpu" else best_cpu_precision()


def choose(wanted: EngineChoice, kind: Kind, precision: EnginePrecision, made: GraphRecord | None) -> EngineName:
    """The engine for a version; `made` are its graphs for the other engine that there is for this kind of device.

    Raises LoadFailed where that one is demanded and cannot run the version in this precision.
    """
    faster = _FASTER[kind]
    if wanted == "paddle":
        return "paddle"
    if made is not None and precision in made.precisions:
        return faster
    if wanted == faster:
        raise LoadFailed(f"{hindrance(kind, precision, made)} {_AUTO}")
    return "paddle"


def hindrance(kind: Kind, precision: EnginePrecision, made: GraphRecord | None) -> str:
    """Why the other engine than Paddle does not run a version in this precision."""
    if kind == "gpu":
        hint = "Run `voxgate models optimize NAME` on it; it has to be done again for another driver or Paddle."
        return f"The version was not optimised for this GPU in {precision}. {hint}"
    if made is not None:
        return made.refused or f"Its graphs for OpenVINO were not held against Paddle's in {precision}."
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
    return _MADE_BY[name](graph_dir, graph, outputs, precision=precision, threads=threads, device=device)


def preload() -> None:
    """Import now what engines are made of; no device is touched on a CPU build of Paddle, and no thread is started."""
    paddle.preload()
    openvino.preload()


_MADE_BY: Final[Mapping[EngineName, Callable[..., Engine]]] = {
    "paddle": paddle.PaddleEngine,
    "openvino": openvino.OpenVinoEngine,
    "tensorrt": tensorrt.TensorRtEngine,
}

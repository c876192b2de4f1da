"""TensorRT within Paddle Inference, on a GPU: a graph that was converted for it beforehand. Not run on a GPU yet.

Paddle builds no engines of a `.json` graph when it loads one: `enable_tensorrt_engine` is for the older format, and
changes nothing here without a word. `paddle.tensorrt.convert` builds them offline: it writes another graph, in which
the parts that TensorRT takes are engines, kept in a folder with the graph's name beside it. An engine takes shapes of
one range of lengths and batches.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from model_store.artifacts.graphs import MAX_CLIPS, MAX_FRAMES, OPTIMIZED, model_file
from model_store.engines.paddle import PaddleEngine
from model_store.engines.seam import Array, EnginePrecision
from model_store.errors import ImportFailed, PredictFailed

_MODES: Final = {"fp32": "FP32", "fp16": "FP16"}
_WORKSPACE_BYTES: Final = 2**31


class TensorRtEngine:
    """See `seam.Engine`. Larger batches are run in parts; a graph that TensorRT does not take is Paddle's."""

    def __init__(
        self,
        graph_dir: Path,
        graph: str,
        outputs: Sequence[str],
        *,
        precision: EnginePrecision = "fp16",
        threads: int = 1,
        device: str = "gpu:0",
    ) -> None:
        """Load `graph` of those in `graph_dir`; raises as `PaddleEngine` does."""
        self._is_optimized = graph in OPTIMIZED
        # What is left to Paddle there stays as it is: its pass for mixed precision does not know the engines' types.
        within: EnginePrecision = "fp32" if self._is_optimized else precision
        self._engine = PaddleEngine(graph_dir, graph, outputs, precision=within, threads=threads, device=device)

    def run(self, inputs: Mapping[str, Array], wanted: Sequence[str]) -> dict[str, Array]:
        """See `seam.Engine.run`."""
        if not self._is_optimized:
            return self._engine.run(inputs, wanted)
        n_clips, n_frames, _ = inputs["feats"].shape
        if n_frames > MAX_FRAMES:
            hint = "Set `audio.max_segment_s` to 30, or the model's engine to paddle."
            raise PredictFailed(f"Engines of TensorRT are made for clips of {MAX_FRAMES} frames at most. {hint}")
        if n_clips <= MAX_CLIPS:
            return self._engine.run(inputs, wanted)
        parts = [
            self._engine.run({name: array[at : at + MAX_CLIPS] for name, array in inputs.items()}, wanted)
            for at in range(0, n_clips, MAX_CLIPS)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in wanted}


def require() -> str:
    """The version of the TensorRT that Paddle computes with; raises ImportFailed, which says what is missing."""
    import paddle

    if not paddle.is_compiled_with_cuda():
        raise ImportFailed("This Paddle is built for CPUs. Install the extra `gpu` to optimise for a GPU.")
    if paddle.device.cuda.device_count() < 1:
        raise ImportFailed("Paddle sees no such GPU. Look at the driver, and at CUDA_VISIBLE_DEVICES.")
    version: tuple[int, ...] = _inference().get_trt_runtime_version()
    if not any(version):
        raise ImportFailed("This Paddle has no TensorRT: its build is without, or libnvinfer is not found.")
    try:
        _library()
    except ImportError as exc:
        hint = f"Run `pip install tensorrt=={version[0]}.{version[1]}.*`."
        raise ImportFailed(f"The Python package `tensorrt` is not installed, which converts graphs. {hint}") from exc
    return ".".join(map(str, version))


def convert(
    graph_dir: Path, graph: str, shapes: Sequence[Mapping[str, Array]], target: Path, precision: EnginePrecision
) -> None:
    """Write `graph`, converted for this machine's first GPU, into `target`, with a folder of its engines beside it.

    `shapes` are inputs of the smallest, a usual and the largest shape. Raises ImportFailed, also where TensorRT took
    nothing of the graph.
    """
    library = _library()
    inputs = [library.Input(warmup_data=tuple(one[name] for one in shapes), name=name) for name in shapes[0]]
    config = library.TensorRTConfig(
        inputs=inputs,
        precision_mode=getattr(library.PrecisionMode, _MODES[precision]),
        save_model_dir=str(target / graph),
        workspace_size=_WORKSPACE_BYTES,
    )
    try:
        library.convert(str(graph_dir / graph), config)
    # It raises what it likes: NotImplementedError, AssertionError, C++ types.
    except Exception as exc:
        raise ImportFailed(f"TensorRT cannot take the {graph}: {type(exc).__name__}: {exc}") from exc
    is_there = (target / model_file(graph)).is_file()
    if not is_there or not list((target / graph).glob("*.trt")):
        raise ImportFailed(f"TensorRT took nothing of the {graph}; Paddle serves it as before.")
    for dump in (target / graph).glob("*.pir"):  # the text of what each engine was made of
        dump.unlink()


def _inference() -> Any:
    import paddle.inference

    return paddle.inference


def _library() -> Any:
    import paddle.tensorrt.export

    return paddle.tensorrt.export

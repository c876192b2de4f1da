"""Paddle Inference: an exported graph on a CPU (oneDNN) or a GPU, named arrays in and out.

Paddle is imported when an engine is made, not with this module. The GPU branch has not run on a GPU yet.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from model_store.artifacts.graphs import model_file, params_file
from model_store.engines.cpu import threads_for
from model_store.engines.faults import as_error
from model_store.engines.seam import Array, EnginePrecision, check_precision, contiguous
from model_store.errors import LoadFailed, PredictFailed

# What Paddle's allocator takes at once on a GPU, before it grows.
_GPU_POOL_MB = 100
_CACHED_SHAPES = 1


class PaddleEngine:
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

        `device` is "cpu" or "gpu:<index>"; `threads` 0: as many as are of use. bf16 is for processors that have it,
        fp16 for GPUs.

        Raises LoadFailed, DeviceMemoryExhausted, or the DeviceFault after which the process has to end.
        """
        check_precision(precision, device)
        _set_environ()
        try:
            self._predictor = _predictor(graph_dir, graph, precision, threads, device)
        # Paddle raises bare RuntimeError, OSError, ValueError and its own C++ types.
        except Exception as exc:
            raise as_error(exc, LoadFailed, f"Paddle cannot load the {graph} graph") from exc
        self._graph = graph
        self._outputs = dict(zip(outputs, self._predictor.get_output_names(), strict=True))

    def run(self, inputs: Mapping[str, Array], wanted: Sequence[str]) -> dict[str, Array]:
        """See `seam.Engine.run`."""
        try:
            for name, array in contiguous(inputs).items():
                handle = self._predictor.get_input_handle(name)
                handle.reshape(array.shape)
                handle.copy_from_cpu(array)
            self._predictor.run()
            return {name: self._copy(name) for name in wanted}
        except Exception as exc:
            raise as_error(exc, PredictFailed, f"Paddle cannot run the {self._graph} graph") from exc

    def _copy(self, name: str) -> Array:
        copied: Array = self._predictor.get_output_handle(self._outputs[name]).copy_to_cpu()
        return copied


def preload() -> None:
    """Pay for the import of Paddle now; it touches no device on a CPU build."""
    _set_environ()
    import paddle.inference  # noqa: F401


def _set_environ() -> None:
    """What Paddle reads when its library is loaded, unless somebody has said otherwise."""
    os.environ.setdefault("GLOG_minloglevel", "2")
    # What an operation leaves behind is freed by a second thread, which otherwise wakes after each of them and takes
    # a core from those that compute: 8 MB at a time instead made a run of 50 ms a seventh shorter.
    os.environ.setdefault("FLAGS_eager_delete_tensor_gb", "0.008")
    # A thread that has nothing to do looks out for more for 200 ms by default, on a core that others could use: one
    # request of a small model every 400 ms cost 240 ms of processor time with two threads, and 60 with this.
    os.environ.setdefault("KMP_BLOCKTIME", "1")
    # oneDNN keeps the code it made for each operation and shape, by default of 1024: 1200 clips of all lengths made
    # 339 MiB of a worker that takes 290 with 400 of them. Where every run is of another length it costs up to a tenth.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "400")


def _predictor(graph_dir: Path, graph: str, precision: EnginePrecision, threads: int, device: str) -> Any:
    from paddle.inference import Config, create_predictor

    config = Config(str(graph_dir / model_file(graph)), str(graph_dir / params_file(graph)))
    config.disable_glog_info()
    if device == "cpu":
        weights_bytes = (graph_dir / params_file(graph)).stat().st_size
        _use_cpu(config, precision, threads or threads_for(weights_bytes))  # Paddle takes 0 for one
    else:
        _use_gpu(config, precision, device)
    # No enable_memory_optim(): it raises on a .json graph, whose executor does that work anyway.
    return create_predictor(config)


def _use_cpu(config: Any, precision: EnginePrecision, threads: int) -> None:
    config.disable_gpu()
    config.set_cpu_math_library_num_threads(threads)
    config.enable_mkldnn()
    # oneDNN keeps what it prepared for each input shape, buffers and all, and for ten shapes by default. One is as
    # fast while a shape repeats and costs some 15 % of a run when it changes. Measured with 30 M weights over 14
    # shapes: 0.93 GB instead of 2.3 GB, and no growth after warming up. (Zero would leak.)
    config.set_mkldnn_cache_capacity(_CACHED_SHAPES)
    if precision == "bf16":
        config.enable_mkldnn_bfloat16()


def _use_gpu(config: Any, precision: EnginePrecision, device: str) -> None:
    """Not run on a GPU yet. On a CPU wheel `enable_use_gpu` only logs, so ask afterwards."""
    import paddle
    from paddle.inference import PrecisionType

    index = _gpu_index(device)
    if not paddle.is_compiled_with_cuda():
        raise LoadFailed("This Paddle is built for CPUs. Install the extra `gpu` to use a GPU.")
    if paddle.device.cuda.device_count() <= index:
        raise LoadFailed(f"There is no {device}: Paddle sees {paddle.device.cuda.device_count()} GPUs.")
    kind = PrecisionType.Half if precision == "fp16" else PrecisionType.Float32
    config.enable_use_gpu(_GPU_POOL_MB, index, kind)
    if not config.use_gpu():
        raise LoadFailed(f"Paddle refused to use {device}.")


def _gpu_index(device: str) -> int:
    kind, _, index = device.partition(":")
    if kind != "gpu" or not index.isdigit():
        raise LoadFailed(f"Unknown device {device!r}: say cpu or gpu:<index>.")
    return int(index)

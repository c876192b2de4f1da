"""What Paddle's exceptions mean; the texts on a CPU were met here, those of GPUs are as its users reported them."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from model_store.artifacts.graphs import ENCODER, read_record
from model_store.engines import paddle as engine_module
from model_store.engines.faults import DeviceFault, as_error
from model_store.engines.paddle import PaddleEngine
from model_store.errors import DeviceMemoryExhausted, LoadFailed, PredictFailed

HINT = "\n  [Hint: Please search for the error code({}) to get Nvidia's advice about CUDA Error.] (at /paddle/x.cc:259)"
GPU_FULL = """
--------------------------------------
C++ Traceback (most recent call last):
--------------------------------------
0   paddle::memory::allocation::CUDAAllocator::AllocateImpl(unsigned long)

----------------------
Error Message Summary:
----------------------
ResourceExhaustedError:

Out of memory error on GPU 0. Cannot allocate 98.000244MB memory on GPU 0, available memory is only 15.187500MB.

Please check whether there is any other process using GPU 0.
1. If yes, please stop them, or start PaddlePaddle on another GPU.
 (at /paddle/paddle/fluid/memory/allocation/cuda_allocator.cc:69)
"""
HOST_FULL = """In user code:


    ResourceExhaustedError: Fail to alloc memory of 119728128 size, error code is 12.
      [Hint: Expected error == 0, but received error:12 != 0:0.] (at /paddle/cpu_allocator.cc:44)
      [operator < onednn_kernel.phi_kernel > error]"""
ILLEGAL = "(External) CUDA error(700), an illegal memory access was encountered. " + HINT.format(700)


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (RuntimeError(GPU_FULL), "Out of memory error on GPU 0. Cannot allocate 98"),
        (MemoryError(HOST_FULL), "Fail to alloc memory of 119728128"),
        (MemoryError("(ResourceExhausted) Fail to alloc memory of 838860800 size, error code is 12."), "838860800"),
        (MemoryError(), "MemoryError"),
        (RuntimeError("std::bad_alloc"), "bad_alloc"),
        (OSError("(External) CUDA error(2), out of memory. " + HINT.format(2)), r"CUDA error\(2\), out of memory"),
    ],
)
def test_error_of_memory_that_ran_out_is_device_memory_exhausted(raised: Exception, told: str) -> None:
    error = as_error(raised, LoadFailed, "It cannot be loaded")
    assert isinstance(error, DeviceMemoryExhausted)
    with pytest.raises(DeviceMemoryExhausted, match=told):
        raise error


@pytest.mark.parametrize(
    "raised",
    [
        OSError(ILLEGAL),
        RuntimeError("\n\nExternalError: Cuda error(77), an illegal memory access was encountered."),
        OSError("(External) CUDA error(719), unspecified launch failure. " + HINT.format(719)),
    ],
)
def test_error_after_which_cuda_wants_another_process_is_a_device_fault(raised: Exception) -> None:
    with pytest.raises(DeviceFault, match=r"It cannot run: .*(?i:cuda) error\("):
        as_error(raised, PredictFailed, "It cannot run")


@pytest.mark.parametrize(
    "raised",
    [
        ValueError("(InvalidArgument) The type of input is 700."),
        OSError("(External) CUDA error(7000), of tomorrow."),
        OSError("(External) CUDA error(35), CUDA driver version is insufficient for CUDA runtime version."),
    ],
)
def test_error_of_any_other_kind_keeps_its_leaf(raised: Exception) -> None:
    assert type(as_error(raised, PredictFailed, "It cannot run")) is PredictFailed


def test_error_message_is_the_line_that_matters() -> None:
    assert as_error(RuntimeError(GPU_FULL), LoadFailed, "No").message.endswith("available memory is only 15.187500MB.")
    assert "Hint" not in as_error(MemoryError(HOST_FULL), LoadFailed, "No").message


def test_engine_load_that_runs_out_of_memory_is_no_fault_of_the_version(golden, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError(GPU_FULL)

    monkeypatch.setattr(engine_module, "_predictor", fail)
    with pytest.raises(DeviceMemoryExhausted, match="cannot load the encoder graph"):
        PaddleEngine(golden.graph_dir, ENCODER, read_record(golden.graph_dir).graphs[ENCODER])


def test_engine_run_that_breaks_the_device_is_a_device_fault(golden) -> None:
    engine = PaddleEngine(golden.graph_dir, ENCODER, read_record(golden.graph_dir).graphs[ENCODER])

    def fail() -> None:
        raise OSError(ILLEGAL)

    engine._predictor = SimpleNamespace(run=fail)
    with pytest.raises(DeviceFault, match="CUDA error"):
        engine.run({}, [])


SHORT_OF_MEMORY = """
import resource, sys
from pathlib import Path
import numpy as np
from model_store.artifacts.graphs import ENCODER, read_record
from model_store.engines.paddle import PaddleEngine
from model_store.errors import DeviceMemoryExhausted
graphs = Path(sys.argv[1])
engine = PaddleEngine(graphs, ENCODER, read_record(graphs).graphs[ENCODER])
mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (mapped + 50 * 2**20, resource.RLIM_INFINITY))
feats = np.zeros((8, 3000, 80), np.float32)
try:
    engine.run({"feats": feats, "lengths": np.full(8, 3000, np.int64)}, ["top_ids"])
except DeviceMemoryExhausted as error:
    print("told:", error.message)
"""


def test_engine_run_in_a_process_that_is_short_of_memory_tells_so(golden) -> None:
    script = [sys.executable, "-W", "ignore", "-c", SHORT_OF_MEMORY, str(golden.graph_dir)]
    ended = subprocess.run(script, capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout.startswith("told: Memory ran out. Paddle cannot run the encoder graph")

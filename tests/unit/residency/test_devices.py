"""What devices there are; the driver's library is stood in for, as no machine of the tests has a GPU."""

from types import SimpleNamespace

import psutil
import pynvml
import pytest

from model_store.artifacts.graphs import Gpu
from model_store.residency.devices import Device, alike, discover, gpu_process_bytes, identify
from model_store.residency.settings import ResidencySettings

GIB = 2**30


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    free = {0: 10 * GIB, 1: GIB // 4}
    processes = [SimpleNamespace(pid=7, usedGpuMemory=3 * GIB), SimpleNamespace(pid=8, usedGpuMemory=None)]
    for name, stand_in in {
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: None,
        "nvmlDeviceGetCount": lambda: 2,
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlDeviceGetMemoryInfo": lambda handle: SimpleNamespace(free=free[handle], total=16 * GIB),
        "nvmlDeviceGetName": lambda handle: f"GPU {handle}",
        "nvmlDeviceGetCudaComputeCapability": lambda _: (8, 9),
        "nvmlSystemGetDriverVersion": lambda: "570.124.06",
        "nvmlDeviceGetComputeRunningProcesses": lambda handle: processes if handle == 0 else [],
    }.items():
        monkeypatch.setattr(pynvml, name, stand_in)


@pytest.fixture
def no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", fail)


@pytest.mark.usefixtures("no_driver")
def test_discover_without_a_driver_finds_the_cpu_with_half_of_what_is_available() -> None:
    (cpu,) = discover(ResidencySettings())
    assert cpu.kind == "cpu"
    assert 0 < cpu.budget_bytes <= psutil.virtual_memory().total / 2
    assert cpu.headroom_bytes == ResidencySettings().cpu_headroom_bytes > 0


@pytest.mark.usefixtures("no_driver")
def test_discover_automatic_budget_leaves_the_headroom_free() -> None:
    (cpu,) = discover(ResidencySettings(cpu_headroom_bytes=2**60))
    assert cpu.budget_bytes == 0


@pytest.mark.usefixtures("no_driver")
def test_discover_budget_that_was_set_is_taken() -> None:
    assert discover(ResidencySettings(cpu_budget_bytes=GIB))[0].budget_bytes == GIB


@pytest.mark.usefixtures("two_gpus")
def test_discover_gpus_come_first_and_keep_their_headroom() -> None:
    first, second, cpu = discover(ResidencySettings(gpu_headroom_bytes=GIB))
    assert first == Device("gpu:0", "gpu", "GPU 0", 9 * GIB, GIB)
    assert second.budget_bytes == 0
    assert cpu.kind == "cpu"


@pytest.mark.usefixtures("two_gpus")
def test_discover_gpus_that_are_not_wanted_are_left_alone() -> None:
    assert [device.id for device in discover(ResidencySettings(use_gpu=False))] == ["cpu"]


@pytest.mark.usefixtures("two_gpus")
def test_gpu_process_bytes_are_those_of_the_process_alone() -> None:
    device = Device("gpu:0", "gpu", "GPU 0", GIB)
    assert (gpu_process_bytes(device, 7), gpu_process_bytes(device, 8), gpu_process_bytes(device, 9)) == (3 * GIB, 0, 0)


@pytest.mark.usefixtures("two_gpus")
def test_identify_names_all_that_engines_for_a_gpu_depend_on() -> None:
    assert identify("gpu:1") == Gpu("GPU 1", "8.9", "570.124.06")


@pytest.mark.usefixtures("no_driver")
def test_identify_without_a_driver_is_none() -> None:
    assert identify("gpu:0") is None


@pytest.mark.usefixtures("two_gpus")
def test_alike_is_none_of_gpus_that_differ_and_looks_at_gpus_alone() -> None:
    first, second, cpu = discover(ResidencySettings())
    assert alike((first, second, cpu)) is None
    assert alike((first, cpu)) == Gpu("GPU 0", "8.9", "570.124.06")
    assert alike((cpu,)) is None

"""The devices of this machine and how much of each models may use. The only place that asks NVML."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pynvml

from model_store.catalog.records import DeviceKind
from model_store.residency.settings import ResidencySettings

_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True)
class Device:
    """Where predictors sit. `id` is "cpu" or "gpu:<index>"; `budget_bytes` is what all of them may take together."""

    id: str
    kind: DeviceKind
    name: str
    budget_bytes: int


def discover(settings: ResidencySettings) -> tuple[Device, ...]:
    """Every device that models may go to, the fastest kind first."""
    return (*(_gpus(settings) if settings.use_gpu else ()), _cpu(settings))


def _cpu(settings: ResidencySettings) -> Device:
    budget = settings.cpu_budget_bytes or _available_bytes() // 2
    return Device("cpu", "cpu", f"{psutil.cpu_count() or 1} cores", budget)


def _available_bytes() -> int:
    """What the machine has available, or the limit of this container where that is less."""
    available = psutil.virtual_memory().available
    with contextlib.suppress(OSError, ValueError):  # no limit is written as "max"
        return min(available, int(_CGROUP_LIMIT.read_text()))
    return available


@contextlib.contextmanager
def _nvml() -> Iterator[bool]:
    """Whether the driver's management library answers."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        yield False
        return
    try:
        yield True
    finally:
        pynvml.nvmlShutdown()


def _gpus(settings: ResidencySettings) -> Iterator[Device]:
    """The GPUs that NVML shows. Not yet run on a machine that has one."""
    with _nvml() as is_there:
        for index in range(pynvml.nvmlDeviceGetCount() if is_there else 0):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            free = int(pynvml.nvmlDeviceGetMemoryInfo(handle).free)
            name = str(pynvml.nvmlDeviceGetName(handle))
            yield Device(f"gpu:{index}", "gpu", name, max(0, free - settings.gpu_headroom_bytes))


def gpu_process_bytes(device: Device, pid: int) -> int:
    """Device memory that a process holds, by the driver's own figure. Not yet run on a machine that has a GPU."""
    with _nvml() as is_there:
        if not is_there:
            return 0
        handle = pynvml.nvmlDeviceGetHandleByIndex(int(device.id.removeprefix("gpu:")))
        processes = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
        return sum(int(process.usedGpuMemory or 0) for process in processes if process.pid == pid)

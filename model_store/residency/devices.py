"""The devices of this machine and how much of each models may use. The only place that asks NVML."""

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
import pynvml

from model_store.artifacts.graphs import Gpu
from model_store.catalog.records import DeviceKind
from model_store.residency.settings import ResidencySettings

_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True)
class Device:
    """Where predictors sit. `id` is "cpu" or "gpu:<index>".

    `budget_bytes` is what all of them may take together; into `headroom_bytes` beyond it runs only a load that was
    predicted too small.
    """

    id: str
    kind: DeviceKind
    name: str
    budget_bytes: int
    headroom_bytes: int = 0


def discover(settings: ResidencySettings) -> tuple[Device, ...]:
    """Every device that models may go to, the fastest kind first."""
    return (*(_gpus(settings) if settings.use_gpu else ()), _cpu(settings))


def _cpu(settings: ResidencySettings) -> Device:
    headroom = settings.cpu_headroom_bytes
    budget = settings.cpu_budget_bytes or max(0, _available_bytes() // 2 - headroom)
    return Device("cpu", "cpu", f"{psutil.cpu_count() or 1} cores", budget, headroom)


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
            headroom = settings.gpu_headroom_bytes
            yield Device(f"gpu:{index}", "gpu", name, max(0, free - headroom), headroom)


class DeviceLost(Exception):
    """The driver does not answer for a GPU."""


@dataclass(frozen=True)
class Reading:
    """What the driver says of one GPU now; `processes` has the bytes of each by its id, those of others included."""

    free_bytes: int
    total_bytes: int
    processes: Mapping[int, int]


def read_gpu(device: Device) -> Reading:
    """The driver's own figures; raises DeviceLost. Not yet run on a machine that has a GPU."""
    with _nvml() as is_there:
        if not is_there:
            raise DeviceLost("the driver's library does not answer")
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(int(device.id.removeprefix("gpu:")))
            memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
            running = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
        except pynvml.NVMLError as exc:
            raise DeviceLost(str(exc)) from exc
        processes = Counter[int]()
        for process in running:
            processes[process.pid] += int(process.usedGpuMemory or 0)
        return Reading(int(memory.free), int(memory.total), processes)


def identify(device_id: str) -> Gpu | None:
    """What a GPU is, as far as engines of TensorRT depend on it; None where the driver does not answer for it.

    Not yet run on a machine that has a GPU.
    """
    with _nvml() as is_there:
        if not is_there:
            return None
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(int(device_id.removeprefix("gpu:")))
            major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
            name, driver = pynvml.nvmlDeviceGetName(handle), pynvml.nvmlSystemGetDriverVersion()
        except pynvml.NVMLError:
            return None
        return Gpu(str(name), f"{major}.{minor}", str(driver))


def alike(devices: Iterable[Device]) -> Gpu | None:
    """What all GPUs among `devices` are; None where there are none, or they differ."""
    found = {identify(device.id) for device in devices if device.kind == "gpu"}
    return found.pop() if len(found) == 1 else None


def gpu_process_bytes(device: Device, pid: int) -> int:
    """Device memory that a process holds, by the driver's own figure; nothing once the device is lost."""
    try:
        return read_gpu(device).processes.get(pid, 0)
    except DeviceLost:
        return 0

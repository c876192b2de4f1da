"""GPUs as they are from one second to the next: what others leave of them, and whether they answer at all.

Run against a stand-in for the driver; not yet run on a machine that has a GPU.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from model_store.residency import metrics
from model_store.residency.devices import Device, DeviceLost, Reading, read_gpu
from model_store.residency.events import MIB, Budget

log = structlog.get_logger()

# Drivers round to pages of 2 MiB, and a process' figure and the free bytes are not read at the same moment.
_NOTABLE_BYTES: Final = 32 * MIB
# A GPU that was lost is used again when it has answered so many times in a row.
_STEADY_READINGS: Final = 5


@dataclass(eq=False)
class _Watched:
    """One GPU: the budget that was last told, None while it is lost, and its answers in a row since then."""

    device: Device
    told_bytes: int | None
    answers: int = 0


class GpuWatch:
    """Tells the engine what models may take on each GPU: all that others have not, but for the headroom."""

    def __init__(
        self,
        devices: Iterable[Device],
        holdings: Callable[[Device], Mapping[int, int]],
        report: Callable[[Budget], None],
        read: Callable[[Device], Reading] = read_gpu,
    ) -> None:
        """`holdings`: the workers on a device by process id, and what counts as theirs if the driver does not know."""
        self._watched = [_Watched(device, device.budget_bytes) for device in devices if device.kind == "gpu"]
        self._holdings = holdings
        self._report = report
        self._read = read

    def look(self) -> None:
        """Ask the driver, and report what is new."""
        for event in [event for watched in self._watched for event in self._look_at(watched)]:
            self._report(event)

    def _look_at(self, watched: _Watched) -> Iterator[Budget]:
        device = watched.device
        try:
            reading = self._read(device)
        except DeviceLost as lost:
            watched.answers = 0
            if watched.told_bytes is not None:
                log.error("residency.device_lost", device=device.id, error=str(lost))  # noqa: TRY400  (no fault of ours)
                yield self._tell(watched, None)
            return
        watched.answers += 1
        ours = sum(reading.processes.get(pid) or thought for pid, thought in self._holdings(device).items())
        metrics.DEVICE_MEMORY.labels(device.id, "others").set(reading.total_bytes - reading.free_bytes - ours)
        budget = max(0, reading.free_bytes + ours - device.headroom_bytes)
        if watched.told_bytes is None:
            if watched.answers >= _STEADY_READINGS:
                log.warning("residency.device_back", device=device.id)
                yield self._tell(watched, budget)
        elif abs(budget - watched.told_bytes) >= _NOTABLE_BYTES:
            log.info("residency.budget", device=device.id, bytes=budget, was_bytes=watched.told_bytes)
            yield self._tell(watched, budget)

    @staticmethod
    def _tell(watched: _Watched, budget_bytes: int | None) -> Budget:
        watched.told_bytes = budget_bytes
        metrics.DEVICES_LOST.labels(watched.device.id).set(budget_bytes is None)
        return Budget(watched.device.id, budget_bytes)

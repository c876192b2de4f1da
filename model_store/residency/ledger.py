"""What stands on one device and what it is charged: the byte-sized LRU that every decision reads."""

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, field
from enum import Enum

from cachetools import LRUCache

from model_store.residency.devices import Device


class Phase(Enum):
    """Where a predictor is in its life; its bytes are charged through all of it."""

    LOADING = "loading"
    READY = "ready"
    STOPPING = "stopping"


@dataclass
class Resident:
    """A version on a device. `charged_bytes` is predicted until measured; `leases` counts the batches that hold it."""

    id: int
    version: str
    charged_bytes: int
    phase: Phase = Phase.LOADING
    leases: int = 0
    loaded_at_s: float | None = None
    used_at_s: float | None = None

    @property
    def is_evictable(self) -> bool:
        """A predictor that is loading, leaving or in use is never chosen."""
        return self.phase is Phase.READY and self.leases == 0


@dataclass
class Ledger:
    """Bytes of one device: a fixed line, and a charge per resident, least recently used first.

    cachetools' LRU is the container and keeps order and sum. It is given no maximum: its own eviction knows no leases
    and no set of victims, and memory here is free only when a process has ended, so `eviction.py` plans instead.
    """

    device: Device
    fixed_bytes: int = 0
    _residents: LRUCache[int, Resident] = field(
        default_factory=lambda: LRUCache(maxsize=float("inf"), getsizeof=lambda resident: resident.charged_bytes)
    )

    @property
    def charged_bytes(self) -> int:
        """All that is charged, what is being freed included."""
        return self.fixed_bytes + int(self._residents.currsize)

    @property
    def free_bytes(self) -> int:
        """Bytes that a load may take now; negative when something turned out larger than it was charged."""
        return self.device.budget_bytes - self.charged_bytes

    @property
    def capacity_bytes(self) -> int:
        """The largest predictor that could ever stand here."""
        return self.device.budget_bytes - self.fixed_bytes

    @property
    def stopping_bytes(self) -> int:
        """Bytes that come back when the workers that are ending have ended."""
        return sum(resident.charged_bytes for resident in self if resident.phase is Phase.STOPPING)

    def add(self, resident: Resident) -> None:
        """Charge a resident, as the most recently used."""
        self._residents[resident.id] = resident

    def charge(self, resident: Resident, charged_bytes: int) -> None:
        """Correct a resident's charge without counting that as a use."""
        order = list(self)
        resident.charged_bytes = charged_bytes
        self._residents.clear()
        for known in order:
            self._residents[known.id] = known

    def touch(self, resident: Resident) -> None:
        """Count a use."""
        self._residents[resident.id]

    def remove(self, resident: Resident) -> None:
        """Its process has ended: the bytes are free."""
        del self._residents[resident.id]

    def __iter__(self) -> Iterator[Resident]:
        """The residents, least recently used first."""
        queue = copy(self._residents)
        while queue:
            yield queue.popitem()[1]

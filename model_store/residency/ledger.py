"""What stands on one device and what it is charged: the figures that every decision reads."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from model_store.residency.devices import Device
from model_store.residency.events import REPLACED, UNRULED, ModelRules, Stop


class Phase(Enum):
    """Where a predictor is in its life; its bytes are charged through all of it. The room's docstring draws it."""

    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    STOPPING = "stopping"


@dataclass(eq=False)
class Resident:
    """A version on a device. `charged_bytes` is predicted until measured; `leases` counts the batches that hold it.

    `last_use` numbers the uses of all residents in the order in which they happened. `tenants` holds when each tenant
    with a guarantee last used it. `is_degraded`: it stands in, on the CPU, for one on a device that is lost. `is_copy`:
    another one serves its version, too, and stays when this one goes. `place` numbers the devices, the fastest first.
    `leaving` is what ends it when the leases are back with which it drains.
    """

    id: int
    version: str
    charged_bytes: int
    phase: Phase = Phase.LOADING
    leases: int = 0
    started_at_s: float = 0.0
    loaded_at_s: float = 0.0
    used_at_s: float = 0.0
    last_use: int = 0
    rules: ModelRules = UNRULED
    is_prefetched: bool = False
    is_second_try: bool = False
    is_degraded: bool = False
    is_copy: bool = False
    place: int = 0
    tenants: dict[str, float] = field(default_factory=dict)
    leaving: Stop | None = None

    @property
    def load_s(self) -> float:
        """What it costs to have it back."""
        return self.loaded_at_s - self.started_at_s

    @property
    def is_pinned(self) -> bool:
        """Whether nobody may have its room; of a pinned version with copies, one predictor is pinned."""
        return self.rules.is_pinned and not self.is_copy

    @property
    def is_serving(self) -> bool:
        """Whether it gives leases, or is about to."""
        return self.phase in (Phase.LOADING, Phase.READY)

    @property
    def may_stay(self) -> bool:
        """Whether it may go on after all when it drains and its room is not wanted: not if it is not to be as it is."""
        return not self.is_degraded and (self.leaving is None or self.leaving.reason != REPLACED)

    @property
    def is_idle(self) -> bool:
        """Whether it could be stopped without taking anything from anybody."""
        return self.phase is Phase.READY and self.leases == 0


@dataclass(eq=False)
class Ledger:
    """Bytes of one device: a fixed line, and a charge per resident.

    A dictionary and a sum, where one would look for cachetools: its caches evict one entry at a time, in an order of
    their own, when another comes in. Here a newcomer's victims are planned as a set, under leases and rules, in the
    order of any policy, and their bytes count until the device has them back.

    `most_bytes` is the largest budget that there was while others took some of the device, as they may on a GPU.
    `growth_bytes` are left free by who comes, for who stands and turns out larger than it was charged.
    """

    device: Device
    fixed_bytes: int = 0
    is_lost: bool = False
    most_bytes: int = 0
    growth_bytes: int = 0
    _residents: dict[int, Resident] = field(default_factory=dict)
    _sum_bytes: int = 0

    @property
    def charged_bytes(self) -> int:
        """All that is charged, what is being freed included."""
        return self.fixed_bytes + self._sum_bytes

    @property
    def free_bytes(self) -> int:
        """Bytes that nobody is charged; negative when residents have grown by more than `growth_bytes`."""
        return self.device.budget_bytes - self.charged_bytes

    @property
    def room_bytes(self) -> int:
        """Bytes that a load may take now; negative when residents have grown into what it would leave free."""
        return self.free_bytes - self.growth_bytes

    @property
    def capacity_bytes(self) -> int:
        """The largest predictor that could ever stand here, beside those that are pinned.

        Others may hold some of it now; what they leave one day counts, or models would wander off to a slower device.
        """
        pinned = sum(resident.charged_bytes for resident in self if resident.is_pinned and resident.is_serving)
        return max(self.most_bytes, self.device.budget_bytes) - self.fixed_bytes - self.growth_bytes - pinned

    @property
    def coming_bytes(self) -> int:
        """Bytes that come back when those that are leaving have left."""
        leaving = (Phase.STOPPING, Phase.DRAINING)
        return sum(resident.charged_bytes for resident in self if resident.phase in leaving)

    @property
    def leases(self) -> int:
        """How much the device has to do."""
        return sum(resident.leases for resident in self)

    def add(self, resident: Resident) -> None:
        """Charge a resident."""
        self._residents[resident.id] = resident
        self._sum_bytes += resident.charged_bytes

    def charge(self, resident: Resident, charged_bytes: int) -> None:
        """Correct a resident's charge."""
        self._sum_bytes += charged_bytes - resident.charged_bytes
        resident.charged_bytes = charged_bytes

    def remove(self, resident: Resident) -> None:
        """Its memory is back."""
        del self._residents[resident.id]
        self._sum_bytes -= resident.charged_bytes

    def __len__(self) -> int:
        return len(self._residents)

    def __iter__(self) -> Iterator[Resident]:
        """The residents, oldest first."""
        return iter(self._residents.values())

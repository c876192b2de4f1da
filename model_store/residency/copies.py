"""Which predictors serve a version: its own, and while it is crowded copies of it on other devices. Pure.

A version is crowded while, at every lease that is asked for, more waits than its predictors take with a batch each, or
something waits that is late already. When that has gone on for `copies_after_s`, it is due for one more predictor. A
copy takes nothing from anybody: eviction.py says whose room it may have, and that it is the first to go. When the
version's own predictor goes, a copy takes its place, and is none any more.
"""

from collections.abc import Sequence
from typing import Final

from model_store.errors import VoxgateError
from model_store.residency.breaker import Breakers
from model_store.residency.devices import Device
from model_store.residency.events import Wanted
from model_store.residency.ledger import Ledger, Phase, Resident
from model_store.residency.settings import ResidencySettings

_NONE: Final[dict[int, Resident]] = {}


class Copies:
    """The predictors of every version that are loading or ready, at most one on a device."""

    def __init__(self, settings: ResidencySettings) -> None:
        self._settings = settings
        self._serving: dict[str, dict[int, Resident]] = {}  # by version and place
        self._crowded_since_s: dict[str, float] = {}
        self._failures = Breakers(settings)  # of copies alone, each version and device for itself

    def __contains__(self, version: str) -> bool:
        """Whether it is there, or on its way."""
        return version in self._serving

    def of(self, version: str) -> Sequence[Resident]:
        """All that serve it, or are about to."""
        return list(self._serving.get(version, _NONE).values())

    def ready(self, version: str) -> Sequence[Resident]:
        """Those that take leases now."""
        return [resident for resident in self.of(version) if resident.phase is Phase.READY]

    def own(self, version: str) -> Resident:
        """The one that is no copy."""
        return next(resident for resident in self.of(version) if not resident.is_copy)

    def least_busy(self, version: str) -> Resident | None:
        """Who is to take the next lease: where there are fewest, then on the device that comes first."""
        return min(self.ready(version), key=lambda resident: (resident.leases, resident.place), default=None)

    def add(self, resident: Resident) -> None:
        """It serves its version; as a copy where another one does already."""
        serving = self._serving.setdefault(resident.version, {})
        resident.is_copy = bool(serving)
        serving[resident.place] = resident
        self._calm(resident.version)

    def remove(self, resident: Resident) -> Resident | None:
        """It serves no more; who takes its place, if it was no copy and there is one."""
        serving = self._serving.get(resident.version, _NONE)
        if serving.get(resident.place) is not resident:
            return None
        del serving[resident.place]
        self._calm(resident.version)
        if not serving:
            del self._serving[resident.version]
        if resident.is_copy or not serving:
            return None
        heir = min(serving.values(), key=lambda other: (other.phase is not Phase.READY, other.place))
        heir.is_copy = False
        return heir

    def due_since_s(self, wanted: Wanted, now_s: float) -> float | None:
        """Since when a version has been crowded that is due for a copy; to be asked before each of its grants."""
        serving = self.of(wanted.version)
        is_settled = all(resident.phase is Phase.READY for resident in serving)
        if not is_settled or len(serving) >= self._settings.max_copies or not self._is_beyond(wanted, serving, now_s):
            self._calm(wanted.version)
            return None
        if self._has_rested(serving, now_s):
            self._calm(wanted.version)
        since_s = self._crowded_since_s.setdefault(wanted.version, now_s)
        return since_s if now_s - since_s >= self._settings.copies_after_s else None

    def may_stand(self, version: str, ledger: Ledger, now_s: float) -> bool:
        """Whether a copy may be tried there: no predictor of it is there, and none failed to load there of late."""
        is_there = any(resident.version == version for resident in ledger)
        return not is_there and self._failures.refusal(_key(version, ledger.device), now_s) is None

    def failed(self, copy: Resident, device: Device, error: VoxgateError, now_s: float) -> None:
        """A copy could not be loaded there, which says nothing against its version."""
        self._failures.failed(_key(copy.version, device), error.message, now_s)

    def opened(self, resident: Resident, device: Device) -> None:
        """It takes leases from now on: what its version asked for before says nothing any more."""
        self._failures.succeeded(_key(resident.version, device))
        self._calm(resident.version)

    def _is_beyond(self, wanted: Wanted, serving: Sequence[Resident], now_s: float) -> bool:
        """Whether more is asked of them than they have just shown that they can do."""
        demand = wanted.demand
        is_late = demand.oldest_deadline_s is not None and demand.oldest_deadline_s <= now_s
        return is_late or demand.queue_length > self._settings.copies_queue * len(serving)

    def _has_rested(self, serving: Sequence[Resident], now_s: float) -> bool:
        """Whether they had nothing to do in between, for longer than a queue needs to come back."""
        used_at_s = max(resident.used_at_s for resident in serving)
        return used_at_s + self._settings.linger_s < now_s and not any(resident.leases for resident in serving)

    def _calm(self, version: str) -> None:
        self._crowded_since_s.pop(version, None)


def _key(version: str, device: Device) -> str:
    return f"{version} on {device.id}"

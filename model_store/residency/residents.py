"""Every predictor whose bytes are charged, and the steps of its life; the room's docstring draws them.

Nothing here decides: engine.py says who starts and who goes.
"""

import itertools
from collections.abc import Iterator
from dataclasses import replace

from model_store.residency.copies import Copies
from model_store.residency.devices import Device
from model_store.residency.events import (
    BACK,
    BARRED,
    IDLE,
    LOST,
    Action,
    Loaded,
    ModelRules,
    Start,
    Stop,
)
from model_store.residency.keep_alive import KeepAlives
from model_store.residency.ledger import Ledger, Phase, Resident
from model_store.residency.line import Party
from model_store.residency.placement import Room, stands_in
from model_store.residency.settings import ResidencySettings


class Residents:
    """The ledgers of all devices, in the order of `discover`, and what stands in them."""

    def __init__(self, devices: tuple[Device, ...], settings: ResidencySettings) -> None:
        self.ledgers = {device.id: Ledger(device) for device in devices}
        self.copies = Copies(settings)
        self.keep_alives = KeepAlives(settings, self.find)
        self._at: dict[int, tuple[Ledger, Resident]] = {}
        self._ids = itertools.count()
        self._uses = itertools.count(1)

    def find(self, number: int) -> Resident | None:
        """The resident of that number."""
        found = self._at.get(number)
        return found[1] if found else None

    def ledger(self, resident: int) -> Ledger:
        """Where a resident is charged."""
        return self._at[resident][0]

    def loading(self, ledger: Ledger | None = None) -> list[Resident]:
        """Who is loading, there or anywhere."""
        return [
            resident
            for at, resident in self._at.values()
            if resident.phase is Phase.LOADING and (ledger is None or at is ledger)
        ]

    def start(self, party: Party, room: Room, now_s: float) -> Action:
        """Load a version where it has been given room; as a copy where others serve it."""
        needed = party.needs_bytes(room.ledger)
        room.promise(needed)
        resident = Resident(next(self._ids), party.version, needed, started_at_s=now_s, rules=party.first.rules)
        resident.is_second_try = bool(party.tried)
        resident.is_prefetched = not party.waiters and party.version not in self.copies
        resident.is_degraded = stands_in(party, room.ledger, self.ledgers.values())
        resident.place = list(self.ledgers).index(room.ledger.device.id)
        room.ledger.add(resident)
        self._at[resident.id] = (room.ledger, resident)
        self.copies.add(resident)
        return Start(resident.id, resident.version, room.ledger.device, is_awaited=not resident.is_prefetched)

    def open(self, resident: Resident, loaded: Loaded, now_s: float) -> None:
        """It can answer: it takes leases, and is charged what it, or one before it, was measured to take."""
        resident.phase, resident.loaded_at_s = Phase.READY, now_s
        self.mark_use(resident, now_s)
        ledger = self.ledger(resident.id)
        ledger.charge(resident, loaded.steady_bytes)
        self.copies.opened(resident, ledger.device)

    def mark_use(self, resident: Resident, now_s: float) -> None:
        """Somebody uses it, or has used it until now."""
        resident.used_at_s = now_s
        resident.last_use = next(self._uses)

    def close(self, resident: Resident) -> None:
        """It takes nothing new, and its bytes are charged until they are back."""
        resident.phase = Phase.STOPPING
        if heir := self.copies.remove(resident):
            self.keep_alives.note(heir)

    def stop(self, resident: Resident, reason: str, for_version: str | None = None) -> Stop:
        """End it now."""
        self.close(resident)
        return Stop(resident.id, reason, for_version)

    def make_way(self, resident: Resident, reason: str, for_version: str | None = None) -> Iterator[Action]:
        """Stop it, or let it finish first."""
        stop = self.stop(resident, reason, for_version)
        if resident.leases:
            resident.phase, resident.leaving = Phase.DRAINING, stop
        else:
            yield stop

    def reopen(self, resident: Resident) -> None:
        """It has not finished, and its room is not wanted any more."""
        resident.phase = Phase.READY
        self.copies.add(resident)

    def remove(self, resident: Resident) -> None:
        """Its memory is back."""
        ledger, _ = self._at.pop(resident.id)
        ledger.remove(resident)

    def end_keep_alives(self, now_s: float) -> Iterator[Action]:
        """Stop whose time is up."""
        yield from (self.stop(resident, IDLE) for resident in self.keep_alives.ended(now_s))

    def resize(self, device: str, budget_bytes: int | None) -> Iterator[Action]:
        """Others took memory of a device or gave some back; or it is lost, with all that was on it, or there again."""
        ledger = self.ledgers[device]
        was_lost, ledger.is_lost = ledger.is_lost, budget_bytes is None
        if budget_bytes is not None:
            ledger.most_bytes = max(ledger.most_bytes, ledger.device.budget_bytes, budget_bytes)
            ledger.device = replace(ledger.device, budget_bytes=budget_bytes)
        if ledger.is_lost and not was_lost:
            yield from (self.stop(resident, LOST) for resident in ledger if resident.phase is not Phase.STOPPING)
        elif was_lost and not ledger.is_lost:
            for resident in self._standing_in():
                yield from self.make_way(resident, BACK)

    def rule(self, version: str, rules: ModelRules) -> Iterator[Action]:
        """Other rules are in force for all that load it or have it loaded."""
        for _, resident in self._at.values():
            if resident.version == version:
                resident.rules = rules
                self.keep_alives.note(resident)
        for resident in self._standing_in():
            if resident.version == version and not rules.may_use_cpu:
                yield from self.make_way(resident, BARRED)

    def _standing_in(self) -> list[Resident]:
        return [resident for _, resident in self._at.values() if resident.is_serving and resident.is_degraded]

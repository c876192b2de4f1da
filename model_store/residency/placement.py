"""On which device a newcomer is placed: where it fits, then where there is least to do, then where most is free.

Kinds of devices come in the order of `discover`, the fastest first, and a version goes to the first kind that can ever
hold it: it waits for room on a GPU rather than be served by a CPU that nobody asked for. Even while that GPU is lost:
then it is refused, unless its rules say that the CPU may stand in.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from model_store.errors import DeviceMemoryExhausted, ModelUnavailable
from model_store.residency.events import MIB
from model_store.residency.ledger import Ledger
from model_store.residency.line import Party


@dataclass(eq=False)
class Room:
    """Bytes of one device not yet promised in this round: free now, and coming back from those that are leaving.

    `is_claimed` when somebody counts on bytes that are coming; `is_closed` when somebody waits for all that there is.
    """

    ledger: Ledger
    capacity_bytes: int
    leases: int
    free_bytes: int
    coming_bytes: int
    is_claimed: bool = False
    is_closed: bool = False

    @classmethod
    def of(cls, ledger: Ledger) -> "Room":
        """All of it; what is lacking is made up from what is coming."""
        free, coming = ledger.room_bytes, ledger.coming_bytes
        if free < 0:
            free, coming = min(0, free + coming), max(0, free + coming)
        return cls(ledger, ledger.capacity_bytes, ledger.leases, free, coming)

    def promise(self, needed_bytes: int) -> None:
        """Nobody behind may count on these."""
        self.free_bytes -= needed_bytes
        self.is_claimed |= self.free_bytes < 0
        self.coming_bytes += min(0, self.free_bytes)
        self.free_bytes = max(0, self.free_bytes)

    def close(self) -> None:
        """Nobody behind takes what is there or comes free, or has anybody stopped for it."""
        self.is_claimed = self.is_closed = True
        self.free_bytes = self.coming_bytes = 0


def places(party: Party, rooms: Iterable[Room]) -> list[Room]:
    """Where a version may go, the best first.

    Raises DeviceMemoryExhausted when it can never fit anywhere, ModelUnavailable when its device is lost.
    """
    rooms = list(rooms)
    able = [room for room in rooms if party.needs_bytes(room.ledger) <= room.capacity_bytes]
    if not able:
        raise _too_large(party, [room.ledger for room in rooms])
    kind = able[0].ledger.device.kind
    present = [room for room in able if not room.ledger.is_lost]
    if not any(room.ledger.device.kind == kind for room in present):
        if not present or not party.first.rules.may_use_cpu:
            raise _lost(able[0].ledger)
        kind = present[0].ledger.device.kind
    return sorted((room for room in present if room.ledger.device.kind == kind), key=_preference)


def stands_in(party: Party, ledger: Ledger, ledgers: Iterable[Ledger]) -> bool:
    """Whether `ledger` is only where a version goes because a faster device is lost."""
    lost = (other for other in ledgers if other.is_lost and other.device.kind != ledger.device.kind)
    return any(party.needs_bytes(other) <= other.capacity_bytes for other in lost)


def _preference(room: Room) -> tuple[int, int]:
    return room.leases, -room.free_bytes


def _lost(ledger: Ledger) -> ModelUnavailable:
    device = ledger.device.id
    hint = (
        "Look at the driver; or set `residency.may_use_cpu`, or `voxgate models rules NAME --cpu`, to have the CPU "
        "serve meanwhile."
    )
    return ModelUnavailable(f"The device of this model, {device}, is lost. {hint}", retry_after_s=10.0, device=device)


def _too_large(party: Party, ledgers: list[Ledger]) -> DeviceMemoryExhausted:
    needs = {ledger.device.id: party.needs_bytes(ledger) for ledger in ledgers}
    holds = {ledger.device.id: ledger.capacity_bytes for ledger in ledgers}
    told = "; ".join(f"{key}: needs {needs[key] // MIB} MiB of {holds[key] // MIB} MiB" for key in needs)
    return DeviceMemoryExhausted(
        f"This model fits on no device ({told}). Raise `residency.cpu_budget_bytes` or serve it elsewhere.",
        retry_after_s=60.0,
        needed_bytes=needs,
        capacity_bytes=holds,
    )

"""What was decided of late, and why: a short memory for people. Nothing decides by it."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from model_store.catalog.records import DeviceKind
from model_store.residency.events import (
    BACK,
    BARRED,
    DEFICIT,
    IDLE,
    LOST,
    MIB,
    REPLACED,
    UNWANTED,
    Action,
    Budget,
    Event,
    Exited,
    Gone,
    Grant,
    Left,
    LoadBroke,
    Prefetch,
    Refuse,
    Size,
    Start,
    Stop,
    Wanted,
)
from model_store.residency.ledger import Resident

What = Literal["load", "evict", "refuse", "fail", "lost"]
Why = Literal["demand", "prefetch", "second_try", "copy"]

LENGTH: Final = 200
_STOPPED: Final = {
    DEFICIT: "models took more than they were charged",
    IDLE: "nobody used it for as long as its keep-alive",
    UNWANTED: "nobody waits for it any more",
    LOST: "its device answers no more",
    BACK: "the device that it stood in for answers again",
    BARRED: "its rules let the CPU stand in no more",
    REPLACED: "its rules have it loaded in another way",
}


@dataclass(frozen=True)
class Entry:
    """One decision, or the same refusal many times; `reason` is a word for programs, `detail` a line for people."""

    at_s: float
    first_at_s: float
    what: What
    version: str
    device: str | None
    reason: str
    detail: str
    times: int = 1


@dataclass(frozen=True)
class Origin:
    """Why a resident is there, and what it was expected to take once warm; None when that was not said."""

    version: str
    device: str
    why: Why
    expected_bytes: int | None


class Journal:
    """The last decisions, and the origin of every resident; fed with each event and the actions that it led to."""

    def __init__(self, find: Callable[[int], Resident | None], model_of: Callable[[str], str]) -> None:
        self.origins: dict[int, Origin] = {}
        self._find = find
        self._model_of = model_of
        self._entries: OrderedDict[object, Entry] = OrderedDict()
        self._waiting: dict[int, str] = {}
        self._sizes: dict[str, Mapping[DeviceKind, Size]] = {}
        self._ending: set[int] = set()
        self._lost: set[str] = set()

    def __iter__(self) -> Iterator[Entry]:
        """The last one first."""
        return reversed(self._entries.values())

    def note(self, event: Event, actions: Sequence[Action], now_s: float) -> None:
        """Write down what matters of one step of the engine."""
        self._note_event(event, now_s)
        for action in actions:
            match action:
                case Start():
                    self._note_start(action, now_s)
                case Stop():
                    self._note_stop(action, now_s)
                case Refuse():
                    self._note_refusal(action, now_s)
                case Grant():
                    self._waiting.pop(action.waiter, None)

    def _note_event(self, event: Event, now_s: float) -> None:
        match event:
            case Wanted():
                self._waiting[event.waiter] = event.version
                self._sizes[event.version] = event.sizes
            case Prefetch():
                self._sizes[event.version] = event.sizes
            case Left():
                self._waiting.pop(event.waiter, None)
            case Budget(budget_bytes=None):
                self._lost.add(event.device)
            case Budget():
                self._lost.discard(event.device)
            case LoadBroke() if event.resident not in self._ending:
                self._end(event.resident, "fail", event.error.code, event.error.message, now_s)
            case Exited() | Gone():
                if event.resident not in self._ending:
                    self._end(event.resident, "lost", "crash", "its process died", now_s)
                if isinstance(event, Gone):
                    self._ending.discard(event.resident)
                    self.origins.pop(event.resident, None)

    def _note_start(self, start: Start, now_s: float) -> None:
        resident = self._find(start.resident)
        size = self._sizes.get(start.version, {}).get(start.device.kind)
        origin = Origin(start.version, start.device.id, _why(resident), size.steady_bytes if size else None)
        self.origins[start.resident] = origin
        waiting = sum(version == start.version for version in self._waiting.values())
        room = f", room for {resident.charged_bytes // MIB} MiB" if resident else ""
        lost = f", in place of {', '.join(sorted(self._lost))} (lost)" if resident and resident.is_degraded else ""
        self._write("load", origin.version, origin.device, origin.why, f"{waiting} waiting{room}{lost}", now_s)

    def _note_stop(self, stop: Stop, now_s: float) -> None:
        detail = _STOPPED.get(stop.reason, "")
        if stop.for_version is not None:
            detail = f"its room is for {self._model_of(stop.for_version)}"
        self._end(stop.resident, "evict", stop.reason, detail, now_s)

    def _note_refusal(self, refuse: Refuse, now_s: float) -> None:
        if version := self._waiting.pop(refuse.waiter, None):
            self._write("refuse", version, None, refuse.error.code, refuse.error.message, now_s)

    def _end(self, resident: int, what: What, reason: str, detail: str, now_s: float) -> None:
        self._ending.add(resident)
        if origin := self.origins.get(resident):
            self._write(what, origin.version, origin.device, reason, detail, now_s)

    def _write(self, what: What, version: str, device: str | None, reason: str, detail: str, now_s: float) -> None:
        """Put it down; a refusal that was given before is counted, or a rush would push all else out."""
        key: object = (version, reason) if what == "refuse" else object()
        entry = Entry(now_s, now_s, what, version, device, reason, detail)
        if known := self._entries.pop(key, None):
            entry = replace(entry, first_at_s=known.first_at_s, times=known.times + 1)
        self._entries[key] = entry
        if len(self._entries) > LENGTH:
            self._entries.popitem(last=False)


def _why(resident: Resident | None) -> Why:
    if resident is None:
        return "demand"
    if resident.is_copy:
        return "copy"
    if resident.is_prefetched:
        return "prefetch"
    return "second_try" if resident.is_second_try else "demand"

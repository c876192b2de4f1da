"""What was decided of late, and why: a short memory for people. Nothing decides by it."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from model_store.catalog.records import DeviceKind
from model_store.residency.events import (
    DEFICIT,
    IDLE,
    MIB,
    ROOM,
    UNWANTED,
    Action,
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
Why = Literal["demand", "prefetch", "second_try"]

LENGTH: Final = 200
_NAMED: Final = 3
_STOPPED: Final = {
    DEFICIT: "models took more than they were charged",
    IDLE: "nobody used it for as long as its keep-alive",
    UNWANTED: "nobody waits for it any more",
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
        self._write("load", origin.version, origin.device, origin.why, f"{waiting} waiting{room}", now_s)

    def _note_stop(self, stop: Stop, now_s: float) -> None:
        detail = self._wanting_room() if stop.reason == ROOM else _STOPPED.get(stop.reason, "")
        self._end(stop.resident, "evict", stop.reason, detail, now_s)

    def _note_refusal(self, refuse: Refuse, now_s: float) -> None:
        if version := self._waiting.pop(refuse.waiter, None):
            self._write("refuse", version, None, refuse.error.code, refuse.error.message, now_s)

    def _end(self, resident: int, what: What, reason: str, detail: str, now_s: float) -> None:
        self._ending.add(resident)
        if origin := self.origins.get(resident):
            self._write(what, origin.version, origin.device, reason, detail, now_s)

    def _wanting_room(self) -> str:
        """Who waits while others go; the first in line and so most likely the cause stands first."""
        here = {origin.version for number, origin in self.origins.items() if number not in self._ending}
        absent = [version for version in dict.fromkeys(self._waiting.values()) if version not in here]
        names = [self._model_of(version) for version in absent]
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        return f"room is wanted by {', '.join(names[:_NAMED])}{more}" if names else "room was wanted"

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
    if resident is not None and resident.is_prefetched:
        return "prefetch"
    return "second_try" if resident is not None and resident.is_second_try else "demand"

"""What the residency engine is told and what it answers: events in, actions out, all of it plain data."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from model_store.catalog.records import DeviceKind
from model_store.errors import VoxgateError
from model_store.residency.devices import Device

MIB: Final = 2**20


@dataclass(frozen=True)
class Size:
    """Bytes that a version takes on a kind of device: at most once it is warm, and at most while it loads."""

    steady_bytes: int
    peak_bytes: int


@dataclass(frozen=True)
class Demand:
    """Who wants a version, as dispatch sees it when it asks for a lease; deadlines on CLOCK_MONOTONIC."""

    queue_length: int
    oldest_deadline_s: float | None = None
    tenant: str | None = None


class Priority(IntEnum):
    """Classes of models: a higher one goes ahead in the line for room, and is evicted after all lower ones."""

    BATCH = 0
    NORMAL = 1
    INTERACTIVE = 2


@dataclass(frozen=True)
class ModelRules:
    """The rules in force for one model. A pinned one stays once it is loaded; `keep_alive_s` counts from its last use.

    `may_use_cpu`: the CPU may serve it while a GPU that could is lost.
    """

    is_pinned: bool = False
    keep_alive_s: float = math.inf
    priority: Priority = Priority.NORMAL
    may_use_cpu: bool = False


UNRULED: Final = ModelRules()


# Events: what happened ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wanted:
    """A waiter asks for a lease on a version, whose sizes per kind of device are known or predicted."""

    waiter: int
    version: str
    sizes: Mapping[DeviceKind, Size]
    demand: Demand
    rules: ModelRules = UNRULED


@dataclass(frozen=True)
class Prefetch:
    """A version had better be there soon: loaded where it fits as things are, else not at all."""

    version: str
    sizes: Mapping[DeviceKind, Size]
    rules: ModelRules = UNRULED


@dataclass(frozen=True)
class Ruled:
    """From now on these rules are in force for a version, wherever it stands or is waited for."""

    version: str
    rules: ModelRules


@dataclass(frozen=True)
class Outdated:
    """By its rules a resident would now be loaded in another way."""

    resident: int


@dataclass(frozen=True)
class Left:
    """A waiter has gone."""

    waiter: int


@dataclass(frozen=True)
class Released:
    """A lease was given back."""

    resident: int


@dataclass(frozen=True)
class Loaded:
    """A predictor can answer, and is to be charged this much."""

    resident: int
    steady_bytes: int


@dataclass(frozen=True)
class LoadBroke:
    """A load failed; `Gone` follows.

    Tried once more where its process died, or memory ran out: then `error` is a DeviceMemoryExhausted.
    """

    resident: int
    error: VoxgateError
    has_died: bool = False


@dataclass(frozen=True)
class Measured:
    """A predictor takes this much now."""

    resident: int
    private_bytes: int


@dataclass(frozen=True)
class Exited:
    """The process of a resident has ended, and the device has not yet shown its memory free."""

    resident: int


@dataclass(frozen=True)
class Gone:
    """The process of a resident has ended, asked or not, and its memory is back."""

    resident: int


@dataclass(frozen=True)
class Budget:
    """What models may take on a device has changed: others took memory, or gave some back; None when it is lost."""

    device: str
    budget_bytes: int | None


@dataclass(frozen=True)
class Tick:
    """The time that the engine asked to be woken at has come."""


OfResident = Outdated | Released | Loaded | LoadBroke | Measured | Exited | Gone
Event = Wanted | Prefetch | Ruled | Left | Budget | Tick | OfResident


# Actions: what to do about it -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Start:
    """Load a version on a device; `is_awaited`: somebody waits for it."""

    resident: int
    version: str
    device: Device
    is_awaited: bool = True


@dataclass(frozen=True)
class Stop:
    """End a resident's process; why is one of the reasons below. `for_version`: whose room it is to be."""

    resident: int
    reason: str
    for_version: str | None = field(default=None, compare=False)


ROOM: Final = "room"  # for a newcomer
DEFICIT: Final = "deficit"  # some version took more than it was charged
IDLE: Final = "idle"  # its keep-alive has run out
UNWANTED: Final = "unwanted"  # it was still loading, and nobody waits for it any more
LOST: Final = "lost"  # its device answers no more
BACK: Final = "back"  # the device that it stood in for answers again
BARRED: Final = "barred"  # it stood in for a device that is lost, and its rules no longer allow that
REPLACED: Final = "replaced"  # its rules now have it loaded in another way


@dataclass(frozen=True)
class Grant:
    """Give a waiter its lease; `is_cold` when it had to wait for a load."""

    waiter: int
    resident: int
    is_cold: bool


@dataclass(frozen=True)
class Refuse:
    """Tell a waiter that it gets no lease."""

    waiter: int
    error: VoxgateError


Action = Start | Stop | Grant | Refuse

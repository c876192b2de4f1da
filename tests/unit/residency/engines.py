"""Engines for tests, and what is said to them."""

from typing import Any

from model_store.residency.devices import Device
from model_store.residency.engine import Engine
from model_store.residency.events import (
    UNRULED,
    Action,
    Demand,
    Event,
    Grant,
    Loaded,
    ModelRules,
    Released,
    Size,
    Start,
    Wanted,
)
from model_store.residency.settings import ResidencySettings

BUDGET = 100
CPU = Device("cpu", "cpu", "test", BUDGET)
GPUS = tuple(Device(f"gpu:{number}", "gpu", "", BUDGET) for number in range(3))
LONG_QUEUE = 9  # more than a batch


def engine(*devices: Device, **settings: Any) -> Engine:
    """One device, if no other is said; nobody keeps a place for the sake of others unless the test says so."""
    said = {"turn_s": 0.0, "linger_s": 0.0, "max_loads": 100, "max_wait_s": 1e9} | settings
    return Engine(devices or (CPU,), ResidencySettings(**said))


def sizes(size: int, peak: int | None = None) -> Any:
    """The same on every kind of device."""
    return dict.fromkeys(("cpu", "gpu"), Size(size, peak or size))


def wanted(
    waiter: int,
    version: str,
    size: int = 40,
    *,
    rules: ModelRules = UNRULED,
    tenant: str | None = None,
    queue: int = 1,
    deadline_s: float | None = None,
) -> Wanted:
    return Wanted(waiter, version, sizes(size), Demand(queue, deadline_s, tenant), rules)


def handle(it: Engine, *events: Event, now_s: float = 0.0) -> list[Action]:
    return [action for event in events for action in it.handle(event, now_s)]


def load(it: Engine, waiter: int, version: str, size: int = 40, *, now_s: float = 0.0, **more: Any) -> int:
    """Bring a version in and give its first lease back; returns its resident."""
    (start,) = handle(it, wanted(waiter, version, size, **more), now_s=now_s)
    assert isinstance(start, Start)
    (grant,) = handle(it, Loaded(start.resident, size), now_s=now_s)
    assert isinstance(grant, Grant)
    handle(it, Released(start.resident), now_s=now_s)
    return start.resident


def crowd(it: Engine, version: str, from_s: float, to_s: float, *, size: int = 40, **more: object) -> list[Action]:
    """Leases taken and given back each second while a long queue waits; all that is done beside."""
    done: list[Action] = []
    for second in range(int(to_s - from_s) + 1):
        now_s = from_s + second
        said = {"queue": LONG_QUEUE} | more
        actions = handle(it, wanted(1000, version, size, **said), now_s=now_s)  # type: ignore[arg-type]
        grant = next(action for action in actions if isinstance(action, Grant))
        done += [action for action in actions if action is not grant]
        done += handle(it, Released(grant.resident), now_s=now_s)
    return done


def two(size: int = 40, *, now_s: float = 0.0, rules: ModelRules = UNRULED, **said: object) -> Engine:
    """`hot`, which is resident 0 on the first GPU, and its copy, which is resident 1 on the second."""
    it = engine(*GPUS[:2], **({"linger_s": 2.0} | said))
    load(it, 1, "hot", size, now_s=now_s, rules=rules)
    (start,) = crowd(it, "hot", now_s, now_s + 10, size=size, rules=rules)
    assert start == Start(1, "hot", GPUS[1])
    assert handle(it, Loaded(1, size), now_s=now_s + 10) == []
    return it


def phases(it: Engine) -> dict[int, str]:
    return {resident.id: resident.phase.value for ledger in it.ledgers.values() for resident in ledger}

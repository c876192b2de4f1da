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

"""What is shown of the engine: figures that add up, and each decision with its reason."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from model_store.errors import DeviceMemoryExhausted, LoadFailed
from model_store.residency.devices import Device
from model_store.residency.events import (
    Budget,
    Event,
    Gone,
    Left,
    LoadBroke,
    Loaded,
    Measured,
    ModelRules,
    Prefetch,
    Priority,
    Refuse,
    Released,
    Ruled,
    Start,
    Stop,
    Tick,
)
from model_store.residency.journal import LENGTH, Journal
from model_store.residency.ledger import Phase
from model_store.residency.measurements import Loading
from model_store.residency.view import Known, ResidencyView, look
from tests.manifests import manifest
from tests.unit.residency.engines import BUDGET, engine, sizes, wanted

CPU = Device("cpu", "cpu", "test", BUDGET, headroom_bytes=11)
GPU = Device("gpu:0", "gpu", "test", BUDGET, headroom_bytes=22)
MAY_USE_CPU = ModelRules(may_use_cpu=True)
LOST, BACK = Budget("gpu:0", None), Budget("gpu:0", BUDGET)
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Scene:
    """An engine with a journal beside it, as the manager has them; versions are named by one letter."""

    def __init__(self, *devices: Device, **settings: Any) -> None:
        self.engine = engine(*devices, **settings)
        self.manifests = {letter: manifest(f"model-{letter}") for letter in "abcd"}
        self.journal = Journal(self.engine.resident, lambda version: self.manifests[version].name)
        self.measured: dict[int, int] = {}
        self.warm: frozenset[int] = frozenset()
        self.ways: dict[int, Loading] = {}

    def tell(self, *events: Event, now_s: float = 0.0) -> list[Any]:
        actions = []
        for event in events:
            done = self.engine.handle(event, now_s)
            self.journal.note(event, done, now_s)
            actions += done
        return actions

    def load(self, waiter: int, version: str, size: int = 40, *, now_s: float = 0.0, load_s: float = 1.0) -> int:
        """Bring a version in; returns its resident, which the waiter still holds."""
        (start,) = self.tell(wanted(waiter, version, size), now_s=now_s)
        self.tell(Loaded(start.resident, size), now_s=now_s + load_s)
        return int(start.resident)

    def look(self, now_s: float) -> ResidencyView:
        known = Known(self.manifests, self.measured, self.warm, self.ways)
        return look(self.engine, self.journal, known, now_s, NOON)


@pytest.fixture
def scene() -> Scene:
    return Scene()


# What stands where ----------------------------------------------------------------------------------------------------


def test_view_of_an_engine_without_work_has_its_devices_alone(scene: Scene) -> None:
    view = scene.look(0.0)
    (device,) = view.devices
    assert (device.id, device.budget_bytes, device.free_bytes, device.charged_bytes) == ("cpu", BUDGET, BUDGET, 0)
    assert view.residents == view.waiting == view.breakers == view.decisions == []


def test_view_resident_has_its_ages_leases_and_sizes(scene: Scene) -> None:
    scene.engine.ledgers["cpu"].fixed_bytes = 7
    resident = scene.load(1, "a", 40, now_s=10.0, load_s=2.5)
    scene.tell(Measured(resident, 44), now_s=20.0)
    scene.measured[resident] = 43
    (one,) = scene.look(30.0).residents
    assert (one.model, one.language, one.domain, one.device) == ("model-a", "zh", "general", "cpu")
    assert (one.phase, one.leases, one.reason) == (Phase.READY, 1, "demand")
    assert (one.age_s, one.load_s, one.last_use_s) == (20.0, 2.5, 17.5)
    assert (one.charged_bytes, one.measured_bytes, one.predicted_bytes) == (44, 43, 40)
    (device,) = scene.look(30.0).devices
    assert (device.charged_bytes, device.measured_bytes, device.shared_bytes) == (7 + 44, 7 + 43, 7)
    assert device.free_bytes == BUDGET - 51


def test_view_resident_that_loads_has_no_use_and_no_load_time_yet(scene: Scene) -> None:
    scene.tell(wanted(1, "a"), now_s=5.0)
    (one,) = scene.look(6.0).residents
    assert (one.phase, one.age_s, one.last_use_s, one.load_s) == (Phase.LOADING, 1.0, None, None)


def test_view_resident_is_warm_when_its_worker_says_so(scene: Scene) -> None:
    first, second = scene.load(1, "a"), scene.load(2, "b")
    scene.warm = frozenset({second})
    assert {one.id: one.is_warm for one in scene.look(6.0).residents} == {first: False, second: True}


def test_view_resident_has_the_way_it_was_loaded(scene: Scene) -> None:
    first, second = scene.load(1, "a"), scene.load(2, "b")
    scene.ways[first] = Loading(scene.manifests["a"], "cpu", "bf16", "openvino")
    shown = {one.id: (one.engine, one.precision) for one in scene.look(6.0).residents}
    assert shown == {first: ("openvino", "bf16"), second: (None, None)}


def test_view_bytes_that_are_being_freed_are_reserved_until_they_are_back(scene: Scene) -> None:
    resident = scene.load(1, "a", 70)
    scene.tell(Released(resident), now_s=1.0)
    (stop,) = scene.tell(wanted(2, "b", 70), now_s=2.0)
    assert isinstance(stop, Stop)
    (device,) = scene.look(2.0).devices
    assert (device.reserved_bytes, device.free_bytes) == (70, 30)
    scene.tell(Gone(resident), now_s=3.0)
    (device,) = scene.look(3.0).devices
    assert (device.reserved_bytes, device.charged_bytes) == (0, 70)  # the newcomer's


@pytest.mark.parametrize(("keep_alive_s", "shown"), [(60.0, 60.0), (float("inf"), None), (0.0, 0.0)])
def test_view_keep_alive_of_for_ever_is_null(scene: Scene, keep_alive_s: float, shown: float | None) -> None:
    scene.tell(wanted(1, "a", rules=ModelRules(is_pinned=True, keep_alive_s=keep_alive_s)))
    (one,) = scene.look(0.0).residents
    assert (one.keep_alive_s, one.is_pinned) == (shown, True)


def test_view_tells_who_was_prefetched_and_who_is_tried_again(scene: Scene) -> None:
    (start,) = scene.tell(Prefetch("a", sizes(20)))
    assert isinstance(start, Start)
    scene.tell(Loaded(start.resident, 20))  # a second try has the device's loads to itself
    (second,) = scene.tell(wanted(1, "b", 20))
    scene.tell(LoadBroke(second.resident, LoadFailed("died"), has_died=True), Gone(second.resident), now_s=1.0)
    reasons = {one.model: one.reason for one in scene.look(1.0).residents}
    assert reasons == {"model-a": "prefetch", "model-b": "second_try"}


def test_view_tells_who_is_a_copy_and_pins_none() -> None:
    scene = Scene(
        Device("gpu:0", "gpu", "test", BUDGET),
        Device("gpu:1", "gpu", "test", BUDGET),
        copies_queue=0,
        copies_after_s=0.0,
    )
    pinned = ModelRules(is_pinned=True)
    (start,) = scene.tell(wanted(1, "a", rules=pinned))
    scene.tell(Loaded(start.resident, 40))
    scene.tell(wanted(2, "a", rules=pinned))
    shown = [(one.device, one.reason, one.is_pinned) for one in scene.look(1.0).residents]
    assert shown == [("gpu:0", "demand", True), ("gpu:1", "copy", False)]


def test_view_waiting_versions_stand_in_the_order_in_which_they_are_helped(scene: Scene) -> None:
    scene.load(1, "a", 90)
    scene.tell(wanted(2, "b", 50), wanted(3, "b", 50), now_s=2.0)
    scene.tell(wanted(4, "c", 50, rules=ModelRules(priority=Priority.INTERACTIVE)), now_s=3.0)
    view = scene.look(5.0)
    assert [(one.model, one.waiters, one.longest_wait_s, one.priority) for one in view.waiting] == [
        ("model-c", 1, 2.0, "interactive"),
        ("model-b", 2, 3.0, "normal"),
    ]


def test_view_breaker_says_how_long_and_why(scene: Scene) -> None:
    scene = Scene(failure_backoff_s=10.0, breaker_failures=2)
    for at_s in (0.0, 20.0):
        (start,) = scene.tell(wanted(1, "a"), now_s=at_s)
        scene.tell(LoadBroke(start.resident, LoadFailed("no such tensor")), Gone(start.resident), now_s=at_s + 1)
    (one,) = scene.look(30.0).breakers
    assert (one.model, one.state, one.failures, one.reason) == ("model-a", "open", 2, "no such tensor")
    assert one.retry_in_s == 21.0 + 20.0 - 30.0
    assert scene.look(50.0).breakers[0].state == "half_open"


def test_view_device_that_is_lost_says_so_and_takes_nothing() -> None:
    scene = Scene(GPU, CPU)
    shown = [(one.id, one.is_lost, one.headroom_bytes, one.free_bytes) for one in scene.look(0.0).devices]
    assert shown == [("gpu:0", False, 22, BUDGET), ("cpu", False, 11, BUDGET)]
    scene.tell(LOST)
    shown = [(one.id, one.is_lost, one.budget_bytes, one.free_bytes) for one in scene.look(0.0).devices]
    assert shown == [("gpu:0", True, BUDGET, 0), ("cpu", False, BUDGET, BUDGET)]
    scene.tell(Budget("gpu:0", BUDGET - 30))
    (device, _) = scene.look(0.0).devices
    assert (device.is_lost, device.budget_bytes, device.free_bytes) == (False, BUDGET - 30, BUDGET - 30)


def test_view_resident_that_stands_in_for_a_lost_gpu_says_so() -> None:
    scene = Scene(GPU, CPU)
    scene.tell(wanted(1, "a", rules=MAY_USE_CPU))
    scene.tell(LOST)
    scene.tell(wanted(2, "b", rules=MAY_USE_CPU))
    assert {(one.model, one.device, one.is_degraded) for one in scene.look(0.0).residents} == {
        ("model-a", "gpu:0", False),  # being ended
        ("model-a", "cpu", True),
        ("model-b", "cpu", True),
    }


def test_view_goes_through_json_and_back(scene: Scene) -> None:
    resident = scene.load(1, "a")
    scene.tell(Released(resident), wanted(2, "b", 1000))
    view = scene.look(9.0)
    assert view.decisions
    assert msgspec.json.decode(msgspec.json.encode(view), type=ResidencyView) == view


# What was decided -----------------------------------------------------------------------------------------------------


def told(scene: Scene, now_s: float = 100.0) -> list[tuple[str, str, str]]:
    return [(one.what, one.model, one.reason) for one in scene.look(now_s).decisions]


def test_decisions_of_a_replacement_tell_who_went_for_whom_and_when(scene: Scene) -> None:
    resident = scene.load(1, "a", 70, now_s=10.0)
    scene.tell(Released(resident), now_s=12.0)
    scene.tell(wanted(2, "b", 70), now_s=40.0)
    scene.tell(Gone(resident), now_s=41.0)
    decisions = scene.look(100.0).decisions
    assert [(one.what, one.model, one.reason) for one in decisions] == [
        ("load", "model-b", "demand"),
        ("evict", "model-a", "room"),
        ("load", "model-a", "demand"),
    ]
    assert "model-b" in decisions[1].detail
    assert [NOON - one.at for one in decisions] == [timedelta(seconds=ago) for ago in (59, 60, 90)]


def test_decisions_eviction_that_waits_for_a_lease_names_the_one_that_it_is_for() -> None:
    scene = Scene()
    resident = scene.load(1, "a", 70)
    scene.tell(wanted(2, "b", 70), wanted(3, "c", 70), Released(resident), now_s=2.0)
    last, *_ = scene.look(2.0).decisions
    assert (last.what, last.model, last.reason, last.detail) == ("evict", "model-a", "room", "its room is for model-b")


@pytest.mark.parametrize(
    ("rules", "reason"), [(ModelRules(keep_alive_s=5.0), "idle"), (ModelRules(keep_alive_s=500.0), "room")]
)
def test_decisions_eviction_has_its_own_reason(scene: Scene, rules: ModelRules, reason: str) -> None:
    (start,) = scene.tell(wanted(1, "a", 70, rules=rules))
    scene.tell(Loaded(start.resident, 70), Released(start.resident))
    scene.tell(Tick(), now_s=6.0)
    scene.tell(wanted(2, "b", 70), now_s=7.0)
    assert ("evict", "model-a", reason) in told(scene)


def test_decisions_load_that_nobody_waits_for_any_more_is_told_once(scene: Scene) -> None:
    (start,) = scene.tell(wanted(1, "a"))
    scene.tell(Left(1), LoadBroke(start.resident, LoadFailed("cancelled")), Gone(start.resident))
    assert told(scene) == [("evict", "model-a", "unwanted"), ("load", "model-a", "demand")]


def test_decisions_load_that_failed_says_why(scene: Scene) -> None:
    (start,) = scene.tell(wanted(1, "a"))
    scene.tell(LoadBroke(start.resident, LoadFailed("no such tensor")), Gone(start.resident))
    what, *_ = scene.look(0.0).decisions
    assert told(scene) == [
        ("refuse", "model-a", "load_failed"),
        ("fail", "model-a", "load_failed"),
        ("load", "model-a", "demand"),
    ]
    assert what.detail == "no such tensor"


def test_decisions_process_that_died_by_itself_is_lost_and_not_evicted(scene: Scene) -> None:
    resident = scene.load(1, "a")
    scene.tell(Gone(resident), Released(resident))
    assert told(scene) == [("lost", "model-a", "crash"), ("load", "model-a", "demand")]


def test_decisions_same_refusal_again_is_counted_and_pushes_nothing_out(scene: Scene) -> None:
    scene.load(1, "a")
    for number in range(10 * LENGTH):
        (refuse,) = scene.tell(wanted(number + 2, "bc"[number % 2], 1000), now_s=float(number))
        assert isinstance(refuse, Refuse)
        assert isinstance(refuse.error, DeviceMemoryExhausted)
    decisions = scene.look(10.0 * LENGTH).decisions
    assert [(one.what, one.model, one.times) for one in decisions] == [
        ("refuse", "model-c", 5 * LENGTH),
        ("refuse", "model-b", 5 * LENGTH),
        ("load", "model-a", 1),
    ]
    assert decisions[1].at - decisions[1].first_at == timedelta(seconds=10 * LENGTH - 2)


def test_decisions_remembered_are_bounded_and_the_last_ones(scene: Scene) -> None:
    for number in range(LENGTH):
        (start,) = scene.tell(wanted(number, "a"), now_s=float(number))
        scene.tell(Left(number), Gone(start.resident), now_s=float(number))
    decisions = scene.look(float(LENGTH)).decisions
    assert len(decisions) == LENGTH
    assert [NOON - one.at for one in decisions] == [timedelta(seconds=1 + n // 2) for n in range(LENGTH)]
    assert not scene.journal.origins


def test_decisions_same_failure_of_two_loads_is_told_twice(scene: Scene) -> None:
    for number in range(2):
        resident = scene.load(number, "a", now_s=float(number))
        scene.tell(Gone(resident), Released(resident), now_s=number + 0.5)
    assert [what for what, _, _ in told(scene)] == ["lost", "load", "lost", "load"]


# A GPU that is lost ---------------------------------------------------------------------------------------------------


def moves(scene: Scene) -> list[tuple[str, str | None, str, str]]:
    """What, where, why and in words, the first decision first."""
    return [(one.what, one.device, one.reason, one.detail) for one in reversed(scene.look(100.0).decisions)]


def brought_in(scene: Scene, waiter: int) -> list[Event]:
    """Version a is asked for; returns what loads it and gives its lease back."""
    (start,) = scene.tell(wanted(waiter, "a", rules=MAY_USE_CPU))
    return [Loaded(start.resident, 40), Released(start.resident)]


def test_decisions_of_a_lost_gpu_tell_why_a_model_moved_to_the_cpu_and_came_back() -> None:
    scene = Scene(GPU, CPU)
    scene.tell(*brought_in(scene, 1), LOST, Gone(0))
    scene.tell(*brought_in(scene, 2), BACK, Gone(1))
    scene.tell(*brought_in(scene, 3))
    assert moves(scene) == [
        ("load", "gpu:0", "demand", "1 waiting, room for 0 MiB"),
        ("evict", "gpu:0", "lost", "its device answers no more"),
        ("load", "cpu", "demand", "1 waiting, room for 0 MiB, in place of gpu:0 (lost)"),
        ("evict", "cpu", "back", "the device that it stood in for answers again"),
        ("load", "gpu:0", "demand", "1 waiting, room for 0 MiB"),
    ]


@pytest.mark.parametrize("is_in_use", [False, True])
@pytest.mark.parametrize(
    ("end", "reason"), [(BACK, "back"), (Ruled("a", ModelRules()), "barred"), (Ruled("a", MAY_USE_CPU), None)]
)
def test_decisions_stand_in_that_has_to_go_goes_for_that_in_use_or_not_and_is_told_once(
    end: Event, reason: str | None, is_in_use: bool
) -> None:
    scene = Scene(GPU, CPU)
    scene.tell(LOST)
    (start,) = scene.tell(wanted(1, "a", rules=MAY_USE_CPU))
    released = Released(start.resident)
    scene.tell(Loaded(start.resident, 40), *([end, released] if is_in_use else [released, end]))
    ends = [("evict", reason)] if reason else []
    assert [(what, why) for what, _, why, _ in moves(scene)] == [("load", "demand"), *ends]


def test_decisions_gpu_that_was_never_lost_is_back_for_nobody() -> None:
    scene = Scene(GPU, CPU)
    scene.tell(wanted(1, "a"), BACK, Budget("gpu:0", BUDGET - 1))
    assert [reason for _, _, reason, _ in moves(scene)] == ["demand"]

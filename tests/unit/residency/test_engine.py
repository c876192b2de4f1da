"""The residency engine as a pure function, on one device: who gets a lease, who is started, who goes for it."""

import random

import pytest

from model_store.errors import DeviceMemoryExhausted, LoadFailed, ModelUnavailable
from model_store.residency.events import (
    Action,
    Gone,
    Grant,
    Left,
    LoadBroke,
    Loaded,
    Measured,
    Refuse,
    Released,
    Start,
    Stop,
)
from model_store.residency.ledger import Phase
from tests.unit.residency.engines import BUDGET, engine, handle, load, wanted


def test_engine_many_waiters_on_one_cold_version_start_it_once() -> None:
    it = engine()
    starts = handle(it, *(wanted(waiter, "a") for waiter in range(100)))
    assert starts == [Start(0, "a", it.ledgers["cpu"].device)]
    grants = handle(it, Loaded(0, 40))
    assert grants == [Grant(waiter, 0, is_cold=True) for waiter in range(100)]


def test_engine_resident_version_is_granted_at_once_and_warm() -> None:
    it = engine()
    resident = load(it, 1, "a")
    assert handle(it, wanted(2, "a")) == [Grant(2, resident, is_cold=False)]


def test_engine_without_room_stops_the_least_recently_used_and_starts_when_it_has_gone() -> None:
    it = engine()
    first, second = load(it, 1, "a"), load(it, 2, "b")
    handle(it, wanted(3, "a"), Released(first))  # now b is the older one
    assert handle(it, wanted(4, "c")) == [Stop(second, "room")]
    assert handle(it, wanted(5, "c")) == []  # single flight: no second victim for the same newcomer
    (start,) = handle(it, Gone(second))
    assert isinstance(start, Start)
    assert start.version == "c"


def test_engine_version_in_use_is_not_stopped_and_the_newcomer_waits() -> None:
    it = engine(turn_s=10.0)
    first, second = load(it, 1, "a"), load(it, 2, "b")
    handle(it, wanted(3, "a"), wanted(4, "b"))
    assert handle(it, wanted(5, "c")) == []
    assert handle(it, Released(second)) == [Stop(second, "room")]
    assert it.resident(first) is not None


def test_engine_newcomer_that_waits_for_room_is_not_overtaken_by_a_smaller_one() -> None:
    it = engine()
    load(it, 1, "a", 60)
    handle(it, wanted(2, "a", 60))
    assert handle(it, wanted(3, "big", 90)) == []
    assert handle(it, wanted(4, "small", 10)) == []
    assert handle(it, Released(0)) == [Stop(0, "room")]
    assert [start.version for start in handle(it, Gone(0)) if isinstance(start, Start)] == ["big", "small"]


def test_engine_impossible_size_is_refused_at_once_and_stops_nobody() -> None:
    it = engine()
    resident = load(it, 1, "a")
    (refuse,) = handle(it, wanted(2, "huge", BUDGET + 1))
    assert isinstance(refuse, Refuse)
    assert isinstance(refuse.error, DeviceMemoryExhausted)
    assert it.resident(resident).phase is Phase.READY  # type: ignore[union-attr]


def test_engine_failed_load_refuses_its_waiters_and_backs_off() -> None:
    it = engine(failure_backoff_s=10.0)
    handle(it, wanted(1, "a"), wanted(2, "a"))
    refused = handle(it, LoadBroke(0, LoadFailed("no")), now_s=100.0)
    assert [(refuse.waiter, type(refuse.error)) for refuse in refused] == [(1, LoadFailed), (2, LoadFailed)]  # type: ignore[union-attr]
    handle(it, Gone(0))
    (again,) = handle(it, wanted(3, "a"), now_s=109.0)
    assert isinstance(again, Refuse)
    assert isinstance(again.error, ModelUnavailable)
    assert again.error.retry_after_s == pytest.approx(1.0)
    assert isinstance(handle(it, wanted(4, "a"), now_s=110.0)[0], Start)


def test_engine_waiter_that_left_is_granted_nothing() -> None:
    it = engine()
    handle(it, wanted(1, "a"), Left(1))
    assert handle(it, Loaded(0, 40)) == []


def test_engine_version_larger_than_charged_makes_others_repay_the_deficit() -> None:
    it = engine()
    first, second = load(it, 1, "a"), load(it, 2, "b")
    assert handle(it, Measured(second, 70)) == [Stop(first, "deficit")]


def test_engine_newcomer_leaves_free_what_others_may_grow_by() -> None:
    it = engine()
    it.ledgers["cpu"].growth_bytes = 15
    first = load(it, 1, "a", 70)
    assert handle(it, wanted(2, "b", 20)) == [Stop(first, "room")]
    (start,) = handle(it, Gone(first))
    assert isinstance(start, Start)


def test_engine_version_that_grows_by_what_newcomers_left_free_makes_nobody_repay() -> None:
    it = engine()
    it.ledgers["cpu"].growth_bytes = 15
    load(it, 1, "a")
    second = load(it, 2, "b")
    assert handle(it, Measured(second, 60)) == []


def test_engine_newcomer_makes_up_for_what_others_have_grown_by() -> None:
    it = engine()
    it.ledgers["cpu"].growth_bytes = 15
    first, second, third = (load(it, number, name, 25) for number, name in enumerate("abc"))
    assert handle(it, Measured(third, 50)) == []
    assert handle(it, wanted(9, "d", 20)) == [Stop(first, "room"), Stop(second, "room")]


def test_engine_version_for_which_only_the_growth_of_others_is_left_is_refused() -> None:
    it = engine()
    it.ledgers["cpu"].growth_bytes = 15
    (refuse,) = handle(it, wanted(1, "a", 90))
    assert isinstance(refuse, Refuse)


def test_engine_crashed_version_with_waiters_is_started_again() -> None:
    it = engine()
    first = load(it, 1, "a")
    handle(it, wanted(2, "a"))
    assert handle(it, Gone(first)) == []
    (start,) = handle(it, Released(first), wanted(3, "a"))
    assert isinstance(start, Start)


def test_engine_bytes_being_freed_count_as_used_until_the_process_has_gone() -> None:
    it = engine()
    load(it, 1, "a", 60)
    assert handle(it, wanted(2, "b", 60)) == [Stop(0, "room")]
    assert it.ledgers["cpu"].free_bytes == 40
    assert [type(action) for action in handle(it, Gone(0))] == [Start]


@pytest.mark.parametrize("seed", range(20))
def test_engine_random_operations_keep_every_promise(seed: int) -> None:
    """No eviction in use, no negative ledger, no budget passed, and everybody is served in the end."""
    rng = random.Random(seed)
    it = engine()
    sizes = {name: rng.randint(10, 60) for name in "abcdefgh"}
    loading: dict[int, str] = {}
    stopping: set[int] = set()
    leased: list[int] = []
    waiting: set[int] = set()

    def carry_out(actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Start(resident=resident, version=version):
                    loading[resident] = version
                case Stop(resident=resident):
                    assert resident not in leased, "stopped in use"
                    stopping.add(resident)
                case Grant(waiter=waiter, resident=resident):
                    assert resident not in stopping
                    waiting.discard(waiter)
                    leased.append(resident)
                case Refuse():
                    pytest.fail("everything fits")
        ledger = it.ledgers["cpu"]
        assert 0 <= ledger.charged_bytes <= BUDGET

    def step(choice: str, waiter: int) -> None:
        if choice == "want":
            version = rng.choice("abcdefgh")
            waiting.add(waiter)
            carry_out(it.handle(wanted(waiter, version, sizes[version]), 0.0))
        elif choice == "leave" and waiting:
            gone = rng.choice(sorted(waiting))
            waiting.discard(gone)
            carry_out(it.handle(Left(gone), 0.0))
        elif choice == "loaded" and loading:
            resident = rng.choice(sorted(loading))
            carry_out(it.handle(Loaded(resident, sizes[loading.pop(resident)]), 0.0))
        elif choice == "gone" and stopping:
            resident = rng.choice(sorted(stopping))
            stopping.discard(resident)
            carry_out(it.handle(Gone(resident), 0.0))
        elif choice == "release" and leased:
            carry_out(it.handle(Released(leased.pop(rng.randrange(len(leased)))), 0.0))

    for waiter in range(2_000):
        step(rng.choice(["want", "want", "leave", "loaded", "loaded", "gone", "release", "release"]), waiter)
    for _ in range(20_000):
        if not waiting:
            break
        step(rng.choice(["loaded", "gone", "release"]), -1)
    assert not waiting, "somebody waits for ever"

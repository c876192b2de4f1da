"""The bars of residency in the simulator: its promises, counted; `make soak` repeats the long ones at full length."""

import time
from dataclasses import replace

import pytest

from model_store.residency.devices import Device
from model_store.residency.engine import Engine
from model_store.residency.events import Demand, Refuse, Size, Wanted
from tests.bench.residency.drills import GUARANTEED_WAIT_S, MIB, RandomOperations, WrongSizes, settings
from tests.bench.residency.quality import compared
from tests.bench.residency.simulator import Model, Request, Simulator
from tests.bench.residency.traces import TRACES, scan, shifting, steady

SEEDS = range(1000, 1003)  # none that the policy was tuned on


def cpu(budget_mib: int) -> tuple[Device, ...]:
    return (Device("cpu", "cpu", "made up", budget_mib * MIB),)


def models(count: int, size_mib: int = 100, load_s: float = 1.0) -> list[Model]:
    return [Model(f"v{number}", size_mib * MIB, load_s) for number in range(count)]


# 1: single flight -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fitting", [10, 3, 1])
def test_bar_1_thousand_requests_over_ten_cold_models_make_ten_loads(fitting: int) -> None:
    it = Simulator(Engine(cpu(fitting * 100), settings()))
    requests = [it.ask(model, hold_s=0.01) for _ in range(100) for model in models(10)]
    it.run()
    assert sorted(it.loaded) == sorted(model.version for model in models(10))
    assert not it.refusals
    assert all(request.is_cold for request in requests)


@pytest.mark.parametrize("patience_s", [0.0, 0.5])
def test_bar_1_queue_whose_clients_have_all_gone_makes_no_load(patience_s: float) -> None:
    it = Simulator(Engine(cpu(300), settings()))
    for model in models(10):
        for _ in range(100):
            it.ask(model, patience_s=patience_s)
    it.run()
    assert it.loaded == []
    assert not it.processes


# 3: lease safety ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["lru", "cost"])
@pytest.mark.parametrize("has_guarantees", [False, True])
def test_bar_3_random_operations_break_no_promise(policy: str, has_guarantees: bool) -> None:
    """No eviction in use, no ledger below nothing or above its budget (the simulator checks), and no deadlock."""
    it = RandomOperations(7, policy, has_guarantees=has_guarantees).run(10_000)
    assert it.engine.waiting == 0
    assert not it.requests
    assert it.stops["room"] > 100
    assert not has_guarantees or it.longest_wait_s <= GUARANTEED_WAIT_S + 10.0  # and two tries to load it
    assert {"load_failed", "model_unavailable"} <= it.refusals.keys()


# 4: memory ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("headroom", [0.0, 0.1])
def test_bar_4_sizes_wrong_by_up_to_30_percent_no_client_sees_memory_run_out(headroom: float) -> None:
    it = WrongSizes(7, headroom).run(1_000)
    assert not it.refusals
    assert it.exhaustions or headroom  # without headroom it did run out, again and again


# 6: quality of evictions ----------------------------------------------------------------------------------------------


def test_bar_6_cost_aware_closes_half_of_the_gap_between_lru_and_true_popularity() -> None:
    for trace in (steady, shifting, scan):
        assert compared(trace, SEEDS).gap_closed >= 0.5


@pytest.mark.parametrize("trace", TRACES)
def test_bar_6_cost_aware_is_never_much_worse_than_lru(trace: object) -> None:
    assert max(compared(trace, SEEDS[:2], ()).cost_to_lru) <= 1.05  # type: ignore[arg-type]


# 7: no thrashing ------------------------------------------------------------------------------------------------------


def test_bar_7_requests_queued_on_one_slot_are_collated() -> None:
    it = Simulator(Engine(cpu(100), settings()))
    named = dict(zip("ABC", models(3), strict=True))
    requests = [it.ask(named[name], hold_s=0.2) for name in "ABAACABC"]
    it.run()
    assert it.loaded == ["v0", "v1", "v2"]
    assert all(request.answered_s is not None for request in requests)


def test_bar_7_requests_that_come_while_others_compute_are_collated_within_a_turn() -> None:
    """As dispatch asks: each queue for one batch at a time."""
    it = Simulator(Engine(cpu(100), settings(turn_s=2.0)))
    named = dict(zip("ABC", models(3), strict=True))
    queues: dict[str, int] = dict.fromkeys("ABC", 0)

    def serve(name: str) -> None:
        """A batch, and when it is done the next."""
        queues[name] -= 1
        request = it.ask(named[name], hold_s=0.2)
        answered(request, lambda: it.after(0.201, lambda: serve(name) if queues[name] else None))

    def answered(request: Request, then: object) -> None:
        if request.answered_s is None:
            it.after(0.01, lambda: answered(request, then))
        else:
            then()  # type: ignore[operator]

    for name in "ABAACABC":
        queues[name] += 1
    for name in "ABC":
        serve(name)
    it.run()
    assert it.loaded == ["v0", "v1", "v2"]


def test_bar_7_wait_behind_endless_use_is_bounded() -> None:
    it = Simulator(Engine(cpu(100), settings(turn_s=2.0)))
    popular, rare = models(2)
    for number in range(200):
        it.after(number * 0.1, lambda: it.ask(popular, hold_s=0.25))
    asked: list[Request] = []
    it.after(5.0, lambda: asked.append(it.ask(rare)))
    it.run()
    assert asked[0].waited_s <= 2.0 + 0.25 + 1.0 + 1e-6  # a turn, the last lease, the load
    assert it.loaded == ["v0", "v1", "v0"]


def test_bar_7_impossible_size_is_refused_at_once_and_evicts_nobody() -> None:
    engine = Engine(cpu(300), settings())
    it = Simulator(engine)
    for model in models(3):
        it.ask(model)
    it.run()
    huge = Wanted(-1, "huge", {"cpu": Size(301 * MIB, 301 * MIB)}, Demand(1))
    began_s = time.perf_counter()
    actions = engine.handle(huge, it.now_s)
    assert time.perf_counter() - began_s < 0.05
    assert [type(action) for action in actions] == [Refuse]
    assert not it.stops


# Tenants --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("guarantee_mib", "loads"), [(300, 3), (0, 6)])
def test_guarantee_holds_against_a_storm_of_another_tenants_cold_models(guarantee_mib: int, loads: int) -> None:
    it = Simulator(Engine(cpu(500), settings(tenant_guarantees_bytes={"acme": guarantee_mib * MIB})))
    theirs, others = models(3), [replace(model, version=f"cold-{model.version}") for model in models(30)]
    for model in theirs:
        it.ask(model, tenant="acme")
    it.run()
    for model in others:
        it.ask(model, hold_s=0.5, tenant="bolt")
    it.run()
    for model in theirs:
        it.ask(model, tenant="acme")
    it.run()
    assert sum(version in {model.version for model in theirs} for version in it.loaded) == loads
    assert len(it.loaded) == loads + len(others)


# The simulator itself -------------------------------------------------------------------------------------------------


def test_simulator_sees_a_book_that_is_wrong() -> None:
    it = Simulator(Engine(cpu(300), settings()))
    it.ask(models(1)[0], hold_s=10.0)
    it.run(5.0)
    resident = next(iter(it.engine.ledgers["cpu"]))
    resident.leases = 0
    with pytest.raises(AssertionError, match="leases that do not agree"):
        it.ask(models(2)[1])
    resident.leases = 1
    it.engine.ledgers["cpu"]._sum_bytes -= 1
    with pytest.raises(AssertionError, match="a sum that does not agree"):
        it.ask(models(3)[2])

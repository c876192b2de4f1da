"""The bars of dispatch in the simulator, small; `make soak` repeats them at full length."""

import statistics

import pytest

from gateway.dispatch.jobs import Urgency
from gateway.dispatch.settings import DispatchSettings
from tests.bench.dispatch import drills
from tests.bench.dispatch.simulator import COSTS, FULL, GPU, STARTER, Cost, Simulator

NAMES = {STARTER: "starter", FULL: "full", GPU: "gpu"}
EACH = pytest.mark.parametrize("cost", COSTS, ids=NAMES.__getitem__)
SEED = 1000  # none that anything was tuned on


@EACH
def test_bar_9_flood_of_one_tenant_raises_the_others_p95_by_a_fifth_at_most(cost: Cost) -> None:
    calm_s, flooded_s = drills.flooded(cost, [SEED], 4000, load=0.8)
    assert flooded_s <= 1.2 * calm_s


@EACH
def test_bar_9_seconds_are_shared_evenly_by_all_who_ask_for_more_than_their_share(cost: Cost) -> None:
    assert drills.saturated(cost, SEED, 3000) >= 0.95


@pytest.mark.parametrize("load", [0.01, 0.5])
@pytest.mark.parametrize("cost", [STARTER, FULL], ids=NAMES.__getitem__)
def test_bar_9_retry_after_proves_true_within_a_factor_of_two(cost: Cost, load: float) -> None:
    for told in drills.told(cost, SEED, load=load):
        assert 0.5 <= told.ratio <= 2.0


@EACH
def test_bar_9_one_client_loses_nothing_by_batching(cost: Cost) -> None:
    assert drills.alone(cost, SEED, 100) <= 1.05 * drills.alone(cost, SEED, 100, drills.UNBATCHED)


@pytest.mark.parametrize(("cost", "within_s"), [(STARTER, 0.1), (FULL, 1.0), (GPU, 0.1)])
def test_bar_9_command_beside_three_recordings_waits_for_one_batch_at_most(cost: Cost, within_s: float) -> None:
    busy_s, idle_s, figures = drills.beside_recordings(cost, SEED, 200)
    assert busy_s <= idle_s + within_s
    bulk = [(batch, seconds) for batch, seconds in figures.batches if batch.urgency is Urgency.BULK]
    assert all(batch.predicted_s <= 0.5 or len(batch.jobs) == 1 for batch, _ in bulk)
    assert figures.padding <= DispatchSettings().max_padding


@EACH
def test_bulk_is_served_its_share_while_interactive_requests_flood(cost: Cost) -> None:
    assert drills.bulk_share(cost, SEED, 2000 * (cost.per_second + cost.fixed_s)) >= 0.18


def test_crowd_of_clients_on_a_costly_start_waits_for_one_another_and_all_gain() -> None:
    waiting, pulling = (
        statistics.median(drills.crowd(GPU, SEED, 8, DispatchSettings(max_queue_delay_s=delay_s)).latencies())
        for delay_s in (0.01, 0.0)
    )
    assert waiting <= 0.8 * pulling


def test_crowd_on_a_processor_where_company_gains_little_never_waits() -> None:
    waiting, pulling = (
        statistics.median(drills.crowd(FULL, SEED, 8, DispatchSettings(max_queue_delay_s=delay_s)).latencies())
        for delay_s in (0.01, 0.0)
    )
    assert waiting <= 1.02 * pulling


@EACH
def test_deadlines_hardly_anything_is_computed_in_vain(cost: Cost) -> None:
    """Twice as much is asked as can be done, each within ten times what it takes alone."""
    sim = Simulator(cost, seed=SEED)
    timeout_s = 10 * (3.0 * cost.per_second + cost.fixed_s)
    every_s = 0.5 / drills.per_s(cost, 3.0)
    for number in range(2000):
        sim.after(number * every_s, lambda: sim.ask(sim.random.uniform(1, 5), timeout_s=timeout_s))
    figures = sim.run().figures
    late = sum(request.latency_s > timeout_s for request in figures.answered)
    assert len(figures.answered) >= 600
    assert late <= 0.05 * len(figures.answered)
    at_once = sum(request.latency_s == 0.0 for request in figures.refused)
    assert at_once >= len(figures.refused) / 3  # the others as soon as it could be known


def test_cancelled_jobs_are_not_computed() -> None:
    sim = Simulator(STARTER, seed=SEED)
    requests = [sim.ask(3.0) for _ in range(50)]
    for request in requests[1:]:
        sim.cancel(request)
    figures = sim.run().figures
    assert figures.answered == requests[:1]
    assert len(figures.batches) == 1

"""The bars of dispatch at full length, in the simulator; each prints its figure."""

import statistics

import pytest

from gateway.dispatch.jobs import Urgency
from tests.bench.dispatch import drills
from tests.bench.dispatch.simulator import COSTS, FULL, GPU, STARTER, Cost

SEEDS = range(1000, 1003)  # none that anything was tuned on
NAMES = {STARTER: "starter", FULL: "full", GPU: "gpu"}
EACH = pytest.mark.parametrize("cost", COSTS, ids=NAMES.__getitem__)

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]


@EACH
@pytest.mark.parametrize("seconds", [(1.0, 3.0), (2.0, 8.0)])
def test_bar_9_flood_of_one_tenant_raises_the_others_p95_by_a_fifth_at_most(
    cost: Cost, seconds: tuple[float, float]
) -> None:
    calm_s, flooded_s = drills.flooded(cost, SEEDS, 5_000, 0.8, seconds)
    assert flooded_s <= 1.2 * calm_s
    print(f"{NAMES[cost]}, {seconds} s, others at 0.8 of their shares: p95 {calm_s:.3f} s, flooded {flooded_s:.3f} s")
    calm_s, flooded_s = drills.flooded(cost, SEEDS, 5_000, 0.5, seconds)
    print(f"{NAMES[cost]}, {seconds} s, others at 0.5 of their shares: p95 {calm_s:.3f} s, flooded {flooded_s:.3f} s")


@EACH
def test_bar_9_seconds_are_shared_evenly_by_all_who_ask_for_more_than_their_share(cost: Cost) -> None:
    found = [drills.saturated(cost, seed, 5_000) for seed in SEEDS]
    assert min(found) >= 0.95
    print(f"{NAMES[cost]}: Jain's index {min(found):.4f} at least, over {len(found)} seeds")


@pytest.mark.parametrize(("load", "nearly_all"), [(0.01, 1.0), (0.5, 0.97), (0.8, 0.9)])
@pytest.mark.parametrize("cost", [STARTER, FULL], ids=NAMES.__getitem__)
def test_bar_9_retry_after_proves_true_within_a_factor_of_two(cost: Cost, load: float, nearly_all: float) -> None:
    """Beside others that come by chance at 0.8 of their shares, what is left for the flood varies by more than that."""
    found = [told.ratio for seed in SEEDS for told in drills.told(cost, seed, load=load)]
    true = sum(0.5 <= ratio <= 2.0 for ratio in found) / len(found)
    assert true >= nearly_all
    print(
        f"{NAMES[cost]}, others at {load} of their shares: really over told {min(found):.2f} to {max(found):.2f}, "
        f"{true:.0%} of {len(found)} within a factor of two"
    )


@EACH
def test_bar_9_one_client_loses_nothing_by_batching(cost: Cost) -> None:
    batching, alone = drills.alone(cost, SEEDS[0], 1000), drills.alone(cost, SEEDS[0], 1000, drills.UNBATCHED)
    assert batching <= 1.05 * alone
    print(f"{NAMES[cost]}: p50 of one client {batching * 1000:.1f} ms with batching, {alone * 1000:.1f} ms without")


@pytest.mark.parametrize(("cost", "within_s"), [(STARTER, 0.1), (FULL, 1.0), (GPU, 0.1)])
def test_bar_9_command_beside_three_recordings_waits_for_one_batch_at_most(cost: Cost, within_s: float) -> None:
    for seed in SEEDS:
        busy_s, idle_s, figures = drills.beside_recordings(cost, seed, 500)
        assert busy_s <= idle_s + within_s
        bulk = [seconds for batch, seconds in figures.batches if batch.urgency is Urgency.BULK]
        print(
            f"{NAMES[cost]}: p95 of a command {busy_s:.3f} s beside three recordings, idle p50 {idle_s:.3f} s; "
            f"bulk batches p95 {drills.p95(bulk):.3f} s, padding {figures.padding:.1%}"
        )


@EACH
def test_crowds_of_clients_and_what_company_gains(cost: Cost) -> None:
    for clients in (1, 2, 4, 8, 16, 32):
        p50 = statistics.median(drills.crowd(cost, SEEDS[0], clients).latencies())
        alone = statistics.median(drills.crowd(cost, SEEDS[0], clients, drills.UNBATCHED).latencies())
        assert p50 <= 1.05 * alone
        print(f"{NAMES[cost]}: {clients} clients p50 {p50 * 1000:.1f} ms, one by one {alone * 1000:.1f} ms")

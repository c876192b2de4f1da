"""Which outcomes count, and what is made of them."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gateway.bench.figures import Run, Taken, percentiles, run_of
from gateway.bench.loop import Demand, Load
from gateway.bench.outcomes import Outcome, Window

Make = Callable[..., Outcome]
CLOSED = Load(clients=2, seconds=10.0)
OPEN = Load(demand=Demand(1.0, "constant"), seconds=10.0)


WINDOW = Window(10.0, 20.0)


def run(load: Load, *outcomes: Outcome, deadline_s: float | None = None, window: Window = WINDOW) -> Run:
    facts: dict[str, Any] = {"cpu_s": 2.0, "server": None, "unanswered": 0, "is_interrupted": False}
    return run_of(outcomes, Taken(load=load, window=window, **facts), deadline_s)


@pytest.mark.parametrize("count", [1, 2, 19, 20, 21, 99, 100, 101, 1000])
def test_percentiles_are_the_nearest_ranks(count: int) -> None:
    values = [random.Random(count).gauss(0, 1) for _ in range(count)]
    found = percentiles(values)
    assert found is not None
    expected = np.percentile(values, [50, 95, 99, 100], method="inverted_cdf")
    assert [found.p50, found.p95, found.p99, found.max] == list(expected)
    assert found.count == count


def test_percentiles_of_nothing_are_none() -> None:
    assert percentiles([]) is None


def test_distribution_runs_from_the_fastest_to_the_slowest(outcome: Make) -> None:
    found = run(CLOSED, *(outcome(10.0, took_s / 100) for took_s in range(1, 201)))
    assert len(found.distribution_ms) == 101
    assert (found.distribution_ms[0], found.distribution_ms[-1]) == (pytest.approx(10), pytest.approx(2000))
    assert found.latency_ms is not None
    assert found.distribution_ms[99] == found.latency_ms.p99


def test_closed_loop_counts_what_was_answered_meanwhile(outcome: Make) -> None:
    found = run(
        CLOSED,
        outcome(5.0, 4.0),  # all of it within the warm-up
        outcome(9.0, 2.0),
        outcome(12.0, 3.0),
        outcome(19.0, 2.0),  # answered afterwards
    )
    assert found.requests == 2
    assert found.requests_per_s == pytest.approx(0.2)
    assert found.audio_s_per_s == pytest.approx(0.4)
    assert found.latency_ms is not None
    assert found.latency_ms.max == pytest.approx(3000)


def test_closed_loop_of_a_server_that_hangs_shows_its_timeouts(outcome: Make) -> None:
    found = run(CLOSED, outcome(12.0, 300.0, code="timeout"), outcome(9.0, 300.0, code="timeout"))
    assert found.errors == {"timeout": 1}
    assert found.latency_ms is None
    assert found.requests_per_s == 0


def test_open_loop_counts_what_was_due_and_throughput_what_came(outcome: Make) -> None:
    found = run(
        OPEN,
        outcome(9.0, 2.0),  # due within the warm-up, but the server worked for it meanwhile
        outcome(12.0, 3.0),
        outcome(19.0, 100.0),
    )
    assert found.requests == 2
    assert found.requests_per_s == pytest.approx(0.2)
    assert found.latency_ms is not None
    assert found.latency_ms.max == pytest.approx(100_000)


def test_latency_counts_from_when_a_request_was_due(outcome: Make) -> None:
    found = run(OPEN, outcome(12.0, 3.0, sent_s=14.5))
    assert found.latency_ms is not None
    assert found.generator.sent_late_ms is not None
    assert (found.latency_ms.p50, found.generator.sent_late_ms.p50) == (pytest.approx(3000), pytest.approx(2500))


def test_errors_are_counted_by_code_and_are_no_latencies(outcome: Make) -> None:
    errors = [outcome(12.0, 0.001, code=code) for code in ("queue_full", "timeout", "queue_full")]
    found = run(CLOSED, outcome(12.0, 1.0), *errors, deadline_s=2.0)
    assert found.errors == {"queue_full": 2, "timeout": 1}
    assert (found.requests, found.failed) == (4, 3)
    assert found.latency_ms is not None
    assert found.latency_ms.count == 1
    assert found.requests_per_s == pytest.approx(0.1)
    assert found.goodput is not None
    assert found.goodput.share == pytest.approx(0.25)


def test_goodput_is_what_came_within_the_deadline(outcome: Make) -> None:
    found = run(CLOSED, *(outcome(11.0, took_s) for took_s in (0.5, 1.0, 1.5, 2.0)), deadline_s=1.0)
    assert found.goodput is not None
    assert (found.goodput.requests_per_s, found.goodput.share) == (pytest.approx(0.2), pytest.approx(0.5))


def test_goodput_without_a_deadline_is_not_told(outcome: Make) -> None:
    assert run(CLOSED, outcome(11.0, 1.0)).goodput is None


def test_stages_are_of_the_answers_that_had_them(outcome: Make) -> None:
    found = run(
        CLOSED,
        outcome(11.0, 1.0, stages_ms={"decode": 1.0, "load": 900.0}, is_cold=True),
        outcome(12.0, 1.0, stages_ms={"decode": 3.0}),
    )
    assert list(found.stages_ms) == ["decode", "load"]
    assert (found.stages_ms["decode"].count, found.stages_ms["decode"].max) == (2, 3.0)
    assert (found.stages_ms["load"].count, found.cold) == (1, 1)


def test_texts_count_where_somebody_knows_what_is_right(outcome: Make) -> None:
    found = run(CLOSED, *(outcome(11.0, 1.0, is_right=is_right) for is_right in (True, False, None, True)))
    assert (found.texts_checked, found.texts_wrong) == (3, 1)


def test_run_that_was_stopped_in_its_warm_up_has_no_figures(outcome: Make) -> None:
    found = run(CLOSED, outcome(3.0, 1.0), window=Window(0.0, 0.0), deadline_s=1.0)
    assert (found.requests, found.latency_ms, found.requests_per_s, found.counted_s) == (0, None, 0, 0)


def test_generator_share_is_of_one_core(outcome: Make) -> None:
    assert run(CLOSED, outcome(11.0, 1.0)).generator.cpu_share == pytest.approx(0.2)

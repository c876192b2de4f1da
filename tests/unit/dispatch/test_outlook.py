"""What is to be expected: measured rates first, then the curve; and how soon something could be done at best."""

import pytest

from gateway.dispatch.queues import VersionQueue
from gateway.dispatch.rates import Rate
from model_store.errors import QueueFull
from tests.unit.dispatch.waiting import BULK, job, queue_of


def retry_after_s(queue: VersionQueue, now_s: float = 0.0, tenant: str | None = None, workers: int = 1) -> float:  # type: ignore[type-arg]
    error = queue.full(tenant, job().urgency, now_s, workers)
    assert isinstance(error, QueueFull)
    return error.retry_after_s


def test_rate_time_without_a_backlog_does_not_count() -> None:
    it = Rate(0.0)
    for now_s in (0.0, 100.0, 200.0):
        it.come(now_s)
        it.served(10.0, now_s + 1.0)
    assert it.per_s == pytest.approx(10.0)
    assert it.mean_per_s(201.0) < 1.0
    assert it.is_idle


def test_rate_load_of_the_model_does_not_count() -> None:
    it = Rate(0.0)
    it.come(0.0)
    it.loaded(60.0)
    it.served(10.0, 61.0)
    assert it.per_s == pytest.approx(10.0)


def test_rate_says_nothing_after_too_little() -> None:
    it = Rate(0.0)
    it.come(0.0)
    it.served(10.0, 0.1)
    assert it.per_s is None


def test_retry_after_follows_the_measured_rate() -> None:
    queue = queue_of(*(job(2.0) for _ in range(20)), max_queue=16, max_batch=1, per_second=0.1)
    for number in range(4):  # each takes five times as long as its computing, for whatever reason
        batch = queue.take_batch(float(number))
        assert batch is not None
        queue.finished(batch, number + 1.0, 0.2)
    assert retry_after_s(queue, 4.0) == pytest.approx(16.0)


def test_retry_after_without_a_measurement_follows_the_curve_and_the_workers() -> None:
    queue = queue_of(*(job(5.0) for _ in range(40)), max_queue=40, max_batch=1, per_second=0.1)
    assert retry_after_s(queue) == pytest.approx(20.0)
    assert retry_after_s(queue, workers=4) == pytest.approx(5.0)


def test_retry_after_is_never_less_than_a_second() -> None:
    assert retry_after_s(queue_of(job(), max_queue=1, per_second=0.001)) == 1.0


def test_soonest_end_counts_what_is_computed_and_what_is_ahead() -> None:
    queue = queue_of(job(10.0, urgency=BULK), job(20.0, urgency=BULK), per_second=0.1, max_compute_s=1.0)
    batch = queue.take_batch(0.0)
    assert batch is not None
    assert queue.outlook(0.4).soonest_end_s(5.0, None, BULK) == pytest.approx(1.0 + 2.0 + 0.5)
    assert queue.outlook(0.4).soonest_end_s(5.0, None, job().urgency) == pytest.approx(1.0 + 0.5)
    assert queue.outlook(0.4, workers=2).soonest_end_s(5.0, None, job().urgency) == pytest.approx(0.4 + 0.5)


def test_soonest_end_of_a_recording_is_shared_by_the_workers() -> None:
    outlook = queue_of(per_second=0.1).outlook(0.0, workers=4)
    assert outlook.soonest_end_s(400.0, None, BULK, is_divisible=True) == pytest.approx(10.0)
    assert outlook.soonest_end_s(400.0, None, BULK) == pytest.approx(40.0)

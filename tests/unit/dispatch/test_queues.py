"""The queue of a version: which jobs travel together, who goes first, and who has no place."""

import time

import pytest

from model_store.errors import DeadlineExceeded, QueueFull
from tests.unit.dispatch.waiting import BULK, INTERACTIVE, batches, job, queue_of

CHEAP = {"per_second": 0.0001, "fixed_s": 0.01}  # company costs next to nothing


def test_batch_takes_jobs_in_order_up_to_the_limit() -> None:
    jobs = [job() for _ in range(5)]
    queue = queue_of(*jobs, **CHEAP, max_batch=4)
    assert [batch.jobs for batch in batches(queue)] == [jobs[:4], jobs[4:]]
    assert queue.take_batch(0.0) is None


def test_batch_counts_padding_to_the_longest() -> None:
    jobs = [job(6), job(7), job(8), job(6)]
    queue = queue_of(*jobs, **CHEAP, max_batch_s=24.0)
    assert [batch.jobs for batch in batches(queue)] == [jobs[:3], jobs[3:]]  # four padded to 8 s would be 32 s


def test_batch_job_longer_than_the_limit_still_goes() -> None:
    jobs = [job(40), job(1)]
    assert [batch.jobs for batch in batches(queue_of(*jobs, **CHEAP, max_batch_s=30.0))] == [[jobs[0]], [jobs[1]]]


def test_batch_like_lengths_go_together_and_the_first_is_never_passed_over() -> None:
    long, short = [job(20) for _ in range(3)], [job(2) for _ in range(3)]
    queue = queue_of(short[0], long[0], short[1], long[1], short[2], long[2], **CHEAP)
    assert [batch.jobs for batch in batches(queue)] == [short, long]


@pytest.mark.parametrize("max_padding", [0.0, 0.1, 0.25, 0.5])
def test_batch_padding_stays_within_its_bound(max_padding: float) -> None:
    queue = queue_of(*(job(1 + number * 7 % 20) for number in range(60)), **CHEAP, max_padding=max_padding)
    for batch in batches(queue):
        assert batch.padding_s <= max_padding * batch.padded_s + 1e-9


def test_batch_padding_that_costs_more_than_a_batch_of_its_own_is_not_taken() -> None:
    jobs = [job(3, urgency=BULK), job(4, urgency=BULK)]  # a second of padding costs 10 ms
    assert len(batches(queue_of(*jobs, per_second=0.01, fixed_s=0.011))) == 1
    assert len(batches(queue_of(*jobs, per_second=0.01, fixed_s=0.009))) == 2


def test_batch_bulk_computes_no_longer_than_its_limit() -> None:
    queue = queue_of(*(job(5, urgency=BULK) for _ in range(30)), per_second=0.02, fixed_s=0.1, max_compute_s=0.5)
    made = batches(queue)
    assert [len(batch.jobs) for batch in made] == [4] * 7 + [2]
    assert all(batch.predicted_s <= 0.5 + 1e-9 for batch in made)


def test_batch_grows_no_further_than_pays() -> None:
    queue = queue_of(*(job(1, urgency=BULK) for _ in range(64)), per_second=0.01, fixed_s=0.01, max_batch=64)
    assert {len(batch.jobs) for batch in batches(queue)} == {9, 1}  # of nine seconds, a tenth is fixed


def test_batch_bulk_is_smaller_while_interactive_work_is_about() -> None:
    queue = queue_of(*(job(1, urgency=BULK) for _ in range(64)), per_second=0.01, fixed_s=0.01, max_batch=64)
    queue.put(job(), 5.0)
    made = [queue.take_batch(now_s) for now_s in (5.0, 6.0, 14.0, 16.0)]
    assert [len(batch.jobs) for batch in made if batch] == [1, 4, 4, 9]


def test_batch_interactive_is_as_large_as_serves_what_waits_soonest() -> None:
    few, many = ([job() for _ in range(n)] for n in (4, 30))
    sizes = [len(queue_of(*jobs, per_second=0.01, fixed_s=0.01).take_batch(0.0).jobs) for jobs in (few, many)]  # type: ignore[union-attr]
    assert sizes == [2, 7]


def test_batch_flood_of_one_tenant_does_not_make_batches_larger_for_the_others() -> None:
    flood = [job(tenant="flood") for _ in range(100)]
    queue = queue_of(*flood, job(tenant="other"), per_second=0.01, fixed_s=0.01)
    batch = queue.take_batch(0.0)
    assert batch is not None
    assert [each.tenant for each in batch.jobs] == ["flood", "other"]


def test_batch_of_a_lone_tenant_may_be_large() -> None:
    queue = queue_of(*(job(tenant="one") for _ in range(100)), per_second=0.01, fixed_s=0.01)
    assert len(queue.take_batch(0.0).jobs) == 9  # type: ignore[union-attr]


def test_queue_tenants_take_turns_by_seconds_not_by_requests() -> None:
    jobs = [*(job(1, "short") for _ in range(40)), *(job(4, "long") for _ in range(40))]
    queue = queue_of(*jobs, per_second=0.1, fixed_s=0.0, max_batch=1)
    tenants = [batch.jobs[0].tenant for batch in batches(queue)][:25]
    assert tenants.count("short") == pytest.approx(20, abs=1)


def test_queue_interactive_goes_before_bulk_that_came_earlier() -> None:
    bulk, command = job(8, urgency=BULK), job(1)
    assert [batch.jobs for batch in batches(queue_of(bulk, command, **CHEAP))] == [[command], [bulk]]


def test_queue_bulk_is_not_starved() -> None:
    queue = queue_of(
        *(job(1, urgency=BULK) for _ in range(20)), *(job(1) for _ in range(200)), per_second=0.1, max_batch=1
    )
    first = [batch.urgency for batch in batches(queue)][:100]
    assert first.count(BULK) == pytest.approx(20, abs=1)  # a fifth
    assert first[0] is INTERACTIVE


def test_queue_job_whose_worker_died_travels_alone() -> None:
    jobs = [job() for _ in range(3)]
    queue = queue_of(jobs[2], **CHEAP)
    queue.put_back(jobs[:2], 0.0)
    assert [batch.jobs for batch in batches(queue)] == [[jobs[0]], [jobs[1]], [jobs[2]]]


def test_queue_job_that_is_removed_leaves_no_trace() -> None:
    jobs = [job(tenant=name) for name in "abc"]
    queue = queue_of(*jobs, **CHEAP)
    assert queue.remove(jobs[1])
    assert not queue.remove(jobs[1])
    assert (len(queue), list(queue)) == (2, [jobs[0], jobs[2]])
    batch = queue.take_batch(0.0)
    assert batch is not None
    assert not queue.remove(batch.jobs[0])  # it is with a worker


def test_queue_full_at_its_limit_for_each_class_alone() -> None:
    queue = queue_of(*(job() for _ in range(5)), max_queue=5)
    assert isinstance(queue.refusal(job(), 0.0), QueueFull)
    assert queue.refusal(job(urgency=BULK), 0.0) is None


def test_queue_full_of_one_tenant_has_places_for_others() -> None:
    queue = queue_of(*(job(tenant="flood") for _ in range(8)), max_queue=8)
    assert queue.refusal(job(tenant="flood"), 0.0)
    for _ in range(4):
        other = job(tenant="other")
        assert queue.refusal(other, 0.0) is None
        queue.put(other, 0.0)
    assert queue.refusal(job(tenant="other"), 0.0)


def test_queue_full_takes_the_rest_of_a_recording_that_has_begun() -> None:
    queue = queue_of(*(job(urgency=BULK) for _ in range(5)), max_queue=5)
    assert queue.refusal(job(urgency=BULK, is_begun=True), 0.0) is None


def test_queue_full_is_told_in_no_time() -> None:
    queue = queue_of(*(job(tenant=f"tenant {number}") for number in range(256)), job(tenant="tenant 0"))
    began_s = time.perf_counter()
    for _ in range(100):
        assert queue.refusal(job(tenant="tenant 0", deadline_s=1.0), 0.0)
    assert (time.perf_counter() - began_s) / 100 < 0.002


def test_queue_deadline_that_cannot_be_made_is_refused_at_once() -> None:
    queue = queue_of(*(job(10) for _ in range(5)), per_second=0.1, fixed_s=0.1)
    assert isinstance(queue.refusal(job(10, deadline_s=6.0), 0.0), DeadlineExceeded)
    assert queue.refusal(job(10, deadline_s=7.0), 0.0) is None


def test_queue_deadline_nothing_is_refused_on_a_guess() -> None:
    queue = queue_of(*(job(10) for _ in range(50)))
    assert queue.refusal(job(10, deadline_s=0.1), 0.0) is None
    assert isinstance(queue.refusal(job(10, deadline_s=-0.1), 0.0), DeadlineExceeded)


def test_queue_deadline_one_tenants_backlog_is_not_all_ahead_of_another() -> None:
    queue = queue_of(*(job(10, "flood") for _ in range(50)), per_second=0.1, fixed_s=0.1)
    assert queue.refusal(job(10, "flood", deadline_s=5.0), 0.0)
    assert queue.refusal(job(10, "other", deadline_s=5.0), 0.0) is None


def test_queue_late_jobs_are_taken_out_before_they_are_computed_in_vain() -> None:
    late, early = job(10, deadline_s=1.2), job(10, deadline_s=2.0)
    queue = queue_of(late, early, per_second=0.1)
    assert queue.take_late(0.0) == []
    assert queue.take_late(0.5) == [late]
    assert list(queue) == [early]


def test_queue_late_is_who_cannot_make_it_in_company() -> None:
    """Alone it could, but a batch for each such one would cost the others behind it theirs."""
    jobs = [job(1, deadline_s=0.035), *(job(1, deadline_s=9.0) for _ in range(8))]
    queue = queue_of(*jobs, per_second=0.001, fixed_s=0.02)
    assert queue.take_late(0.0) == []
    assert queue.take_late(0.005) == jobs[:1]


def test_batch_nobody_is_late_for_the_company() -> None:
    hurried = job(1, deadline_s=0.4)
    queue = queue_of(hurried, *(job(1) for _ in range(8)), per_second=0.1, fixed_s=0.1)
    batch = queue.take_batch(0.0)
    assert batch is not None
    assert batch.jobs[0] is hurried
    assert batch.predicted_s <= 0.4


def test_queue_demand_tells_length_and_the_earliest_deadline() -> None:
    queue = queue_of(job(deadline_s=9.0), job(tenant="one"), job(deadline_s=4.0))
    assert (queue.demand().queue_length, queue.demand().oldest_deadline_s) == (3, 4.0)


def test_queue_curves_of_devices_are_their_own() -> None:
    queue = queue_of()
    queue.curve("gpu:0").add(1.0, 0.01)
    assert queue.curve("gpu:0").is_measured
    assert not queue.curve("cpu").is_measured


def _arriving(every_s: float, fixed_s: float = 0.02, urgency: object = INTERACTIVE) -> float:
    """How long a free worker waits for company, where jobs came so often."""
    queue = queue_of(per_second=0.0005, fixed_s=fixed_s)
    for number in range(9):
        queue.put(each := job(urgency=urgency), now_s := number * every_s)  # type: ignore[arg-type]
        if number < 8:
            queue.remove(each)
    return queue.waits_until_s(now_s) - now_s


def test_queue_company_is_waited_for_where_it_halves_the_cost_and_many_come() -> None:
    assert _arriving(every_s=0.005) == pytest.approx(0.005)  # a quarter of the fixed cost
    assert _arriving(every_s=0.005, fixed_s=0.2) == pytest.approx(0.01)  # the most that is allowed


def test_queue_company_is_not_waited_for_where_few_come_or_nobody_waits_for_the_answer() -> None:
    assert _arriving(every_s=0.05) == 0.0
    assert _arriving(every_s=0.005, fixed_s=0.0004) == 0.0
    assert _arriving(every_s=0.005, urgency=BULK) == 0.0

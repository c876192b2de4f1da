"""The queue of a version: which jobs travel together."""

import asyncio

import numpy as np
import pytest

from gateway.dispatch.queues import Job, VersionQueue
from gateway.dispatch.settings import DispatchSettings
from model_store.predictors.hypotheses import AsrOptions
from model_store.runtime.seam import Utterance


async def job(seconds: float, *, is_alone: bool = False, deadline_s: float | None = None) -> Job:
    utterance = Utterance(np.zeros(int(seconds * 16_000), np.float32), AsrOptions(), deadline_s)
    return Job(utterance, None, asyncio.get_running_loop().create_future(), is_alone=is_alone)


async def queue_of(*jobs: Job, max_batch: int = 4, max_batch_s: float = 30.0) -> VersionQueue:
    queue = VersionQueue(DispatchSettings(max_queue=5, max_batch=max_batch, max_batch_s=max_batch_s))
    for each in jobs:
        queue.put(each)
    return queue


async def test_batch_takes_jobs_in_order_up_to_the_limit() -> None:
    jobs = [await job(1) for _ in range(5)]
    queue = await queue_of(*jobs)
    assert queue.take_batch() == jobs[:4]
    assert queue.take_batch() == jobs[4:]
    assert queue.take_batch() == []


async def test_batch_counts_padding_to_the_longest() -> None:
    jobs = [await job(2), await job(2), await job(12), await job(1)]
    queue = await queue_of(*jobs)
    assert queue.take_batch() == jobs[:2]  # three padded to 12 s would be 36 s
    assert queue.take_batch() == jobs[2:]


async def test_batch_job_longer_than_the_limit_still_goes() -> None:
    jobs = [await job(40), await job(1)]
    queue = await queue_of(*jobs)
    assert queue.take_batch() == jobs[:1]


async def test_batch_job_whose_worker_died_travels_alone() -> None:
    jobs = [await job(1) for _ in range(3)]
    queue = await queue_of(jobs[2])
    queue.put_back(jobs[:2])
    assert [queue.take_batch() for _ in range(3)] == [[jobs[0]], [jobs[1]], [jobs[2]]]


async def test_queue_full_at_its_limit() -> None:
    queue = await queue_of(*[await job(1) for _ in range(4)])
    assert not queue.is_full
    queue.put(await job(1))
    assert queue.is_full


async def test_demand_tells_length_and_the_earliest_deadline() -> None:
    queue = await queue_of(await job(1, deadline_s=9.0), await job(1), await job(1, deadline_s=4.0))
    assert (queue.demand().queue_length, queue.demand().oldest_deadline_s) == (3, 4.0)


async def test_drain_time_follows_the_measured_rate() -> None:
    queue = await queue_of(*[await job(1) for _ in range(5)])
    queue.served(jobs=2, seconds=8.0)
    assert queue.drain_s == pytest.approx(20.0)

"""The queue of one version: jobs in order of arrival, and the best batch that can be made of them now. No I/O."""

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from gateway.dispatch.settings import DispatchSettings
from model_store.predictors.hypotheses import Outcome
from model_store.residency.events import Demand
from model_store.runtime.seam import Utterance


@dataclass(frozen=True)
class Done:
    """The outcome of one job, and where its time went, in seconds per stage.

    `waited_s`: for its turn (queue), or for its model (load). `computed_s`: its share of what the worker spent on each
    stage of the batch. `is_degraded`: its device stood in for a faster one that is lost.
    """

    outcome: Outcome
    waited_s: dict[str, float]
    computed_s: dict[str, float]
    is_cold: bool
    device: str
    is_degraded: bool


@dataclass(eq=False)
class Job:
    """One utterance on its way. `is_alone`: its worker died once, so it is tried again in a batch of its own."""

    utterance: Utterance
    tenant: str | None
    answer: asyncio.Future[Done]
    queued_s: float = field(default_factory=time.monotonic)
    is_alone: bool = False


class VersionQueue:
    """Jobs that wait for one version."""

    def __init__(self, settings: DispatchSettings, sample_rate_hz: int = 16_000) -> None:
        self._settings = settings
        self._max_batch_samples = int(settings.max_batch_s * sample_rate_hz)
        self._jobs: deque[Job] = deque()
        self._seconds_per_job = 0.0

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        """The jobs that wait, in order."""
        return iter(self._jobs)

    @property
    def is_full(self) -> bool:
        """Whether another job would be one too many."""
        return len(self._jobs) >= self._settings.max_queue

    @property
    def drain_s(self) -> float:
        """Seconds until what waits now will have been served, by the rate measured so far."""
        return max(1.0, len(self._jobs) * self._seconds_per_job)

    def put(self, job: Job) -> None:
        """Take the last place."""
        self._jobs.append(job)

    def put_back(self, jobs: list[Job]) -> None:
        """Take the first places again, each to be tried alone."""
        for job in reversed(jobs):
            job.is_alone = True
            self._jobs.appendleft(job)

    def remove(self, job: Job) -> None:
        """Nobody waits for this job any more; one that is already with a worker is not here."""
        if job in self._jobs:
            self._jobs.remove(job)

    def take_all(self) -> list[Job]:
        """Empty the queue."""
        jobs = list(self._jobs)
        self._jobs.clear()
        return jobs

    def take_batch(self) -> list[Job]:
        """The longest run of jobs from the front that fits the limits when all are padded to the longest."""
        batch: list[Job] = []
        while self._jobs and self._fits(batch, self._jobs[0]):
            batch.append(self._jobs.popleft())
        return batch

    def served(self, jobs: int, seconds: float) -> None:
        """Learn the service rate: a moving mean over about the last ten batches."""
        rate = seconds / jobs
        self._seconds_per_job = 0.9 * self._seconds_per_job + 0.1 * rate if self._seconds_per_job else rate

    def demand(self) -> Demand:
        """What residency is told."""
        deadlines = [job.utterance.deadline_s for job in self._jobs if job.utterance.deadline_s is not None]
        return Demand(len(self._jobs), min(deadlines, default=None), self._jobs[0].tenant if self._jobs else None)

    def _fits(self, batch: list[Job], job: Job) -> bool:
        if not batch:
            return True
        if job.is_alone or batch[0].is_alone or len(batch) >= self._settings.max_batch:
            return False
        longest = max(len(other.utterance.pcm) for other in (*batch, job))
        return longest * (len(batch) + 1) <= self._max_batch_samples

"""From segments to workers: one queue per version, a lease per batch, one more try when a worker dies.

The queue decides, here it is carried out. A version has as many batches computed at a time as it has predictors, each
on a device of its own: a worker that is free pulls the best batch that can be made then.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from gateway.dispatch import metrics
from gateway.dispatch.batches import Batch
from gateway.dispatch.jobs import Done, Job, Urgency
from gateway.dispatch.quarantine import Quarantine, is_same
from gateway.dispatch.queues import VersionQueue
from gateway.dispatch.settings import DispatchSettings
from model_store.errors import DeadlineExceeded, PredictFailed, QueueFull, ShuttingDown, VoxgateError
from model_store.predictors.hypotheses import Options
from model_store.predictors.predictor import PCM_RATE_HZ
from model_store.residency.manager import Lease, ResidencyManager
from model_store.runtime.messages import Result
from model_store.runtime.seam import Pcm, Utterance, WorkerDied

log = structlog.get_logger()


@dataclass(eq=False)
class _Pump:
    """A task that empties a queue: it waits for a lease, or has one and is busy with a batch."""

    task: asyncio.Task[None] | None = None
    is_waiting: bool = False
    is_busy: bool = False


@dataclass(eq=False)
class _Lane:
    """A version's queue and the pumps that empty it, one per predictor; none while the queue is empty."""

    queue: VersionQueue[Job]
    pumps: set[_Pump] = field(default_factory=set)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)


class Dispatcher:
    """Takes utterances for versions, answers with what their predictors made of them."""

    def __init__(
        self, residency: ResidencyManager, settings: DispatchSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._residency = residency
        self._settings = settings
        self._clock = clock
        self._quarantine = Quarantine(settings, clock)
        self._lanes: dict[str, _Lane] = {}
        self._unanswered: set[Job] = set()
        self._is_closed = False

    def check(self, version: str, *, tenant: str | None = None, urgency: Urgency = Urgency.INTERACTIVE) -> None:
        """Raise what any utterance would be refused with now: QueueFull, ShuttingDown. So nothing is done in vain."""
        if self._is_closed:
            raise _too_late()
        lane = self._lane(version)
        if error := lane.queue.full(tenant, urgency, self._clock(), self._most_pumps(version)):
            raise _refused(error, urgency)

    def check_time(
        self, version: str, seconds: float, deadline_s: float, *, tenant: str | None = None, urgency: Urgency
    ) -> None:
        """Raise DeadlineExceeded where so much audio cannot be done until then, if all goes well."""
        outlook = self._lane(version).queue.outlook(self._clock(), self._most_pumps(version))
        end_s = outlook.soonest_end_s(seconds, tenant, urgency, is_divisible=True)
        if (short_s := end_s - deadline_s) > 0:
            told = f"This recording takes about {short_s:.1f} s longer than the time for this request, at best."
            raise _refused(DeadlineExceeded(f"{told} With `partial` it is begun all the same."), urgency)

    async def submit(
        self,
        version: str,
        pcm: Pcm,
        options: Options,
        *,
        tenant: str | None = None,
        deadline_s: float | None = None,
        urgency: Urgency = Urgency.INTERACTIVE,
        is_begun: bool = False,
    ) -> Done:
        """What `version` makes of `pcm`. Cancelling takes the work out of the queue.

        `deadline_s` on CLOCK_MONOTONIC. `is_begun`: other parts of the recording have been answered, so this one is not
        refused for want of a place.

        Raises QueueFull, DeadlineExceeded, WorkerLost, PredictFailed, ShuttingDown, and what a lease may raise.
        """
        if self._is_closed:
            raise _too_late()
        if refusal := self._quarantine.refusal(version, pcm):
            raise refusal
        lane, job = self._lane(version), self._job(pcm, options, tenant, deadline_s, urgency, is_begun)
        if error := lane.queue.refusal(job, job.queued_s, self._most_pumps(version)):
            raise _refused(error, urgency)
        lane.queue.put(job, job.queued_s)
        lane.arrived.set()
        self._unanswered.add(job)
        self._start_pump(version, lane)
        try:
            return await job.answer
        except asyncio.CancelledError:
            self._withdraw(job, lane)
            raise
        finally:
            self._unanswered.discard(job)

    def close(self) -> None:
        """Fail whoever still waits, and all who come: the time that they had to finish is up."""
        self._is_closed = True
        for job in self._unanswered:
            _fail(job, _too_late())

    def _lane(self, version: str) -> _Lane:
        lane = self._lanes.get(version)
        if lane is None:
            lane = self._lanes[version] = _Lane(VersionQueue(self._settings))
        return lane

    def _job(
        self, pcm: Pcm, options: Options, tenant: str | None, deadline_s: float | None, urgency: Urgency, is_begun: bool
    ) -> Job:
        return Job(
            seconds=len(pcm) / PCM_RATE_HZ,
            queued_s=self._clock(),
            tenant=tenant,
            urgency=urgency,
            deadline_s=deadline_s,
            is_begun=is_begun,
            utterance=Utterance(pcm, options, deadline_s),
        )

    @staticmethod
    def _withdraw(job: Job, lane: _Lane) -> None:
        """Nobody waits for it any more."""
        if not lane.queue.remove(job) and job.worker is not None:
            worker, number = job.worker
            worker.skip(number)
        for pump in lane.pumps if not lane.queue else ():
            if pump.is_waiting and pump.task:
                pump.task.cancel()  # nobody wants the lease that it waits for

    def _start_pump(self, version: str, lane: _Lane) -> None:
        """One more, where something waits, all others are busy, and a predictor has nothing to do."""
        are_busy = all(pump.is_busy for pump in lane.pumps)
        if lane.queue and are_busy and len(lane.pumps) < self._most_pumps(version):
            lane.pumps.add(pump := _Pump())
            pump.task = asyncio.create_task(self._pump(version, lane, pump), name=f"pump-{version[:12]}")

    def _most_pumps(self, version: str) -> int:
        return max(1, self._residency.predictors(version))

    async def _pump(self, version: str, lane: _Lane, pump: _Pump) -> None:
        try:
            while lane.queue and len(lane.pumps) <= self._most_pumps(version):
                with contextlib.suppress(asyncio.CancelledError):
                    await self._serve_batch(version, lane, pump)
        finally:
            lane.pumps.discard(pump)

    async def _serve_batch(self, version: str, lane: _Lane, pump: _Pump) -> None:
        pump.is_waiting = True
        batch: Batch[Job] | None = None
        try:
            async with self._residency.lease(version, lane.queue.demand()) as lease:
                pump.is_waiting = False
                if lease.is_cold:
                    lane.queue.loaded(self._clock())
                await self._wait_for_company(lane, lease.device)
                self._refuse_late(lane.queue)
                if batch := lane.queue.take_batch(self._clock(), lease.device):
                    pump.is_busy = True
                    self._start_pump(version, lane)  # for what is left
                    await self._run(lease, batch, lane.queue)
        except VoxgateError as error:  # no lease for anybody
            _fail_each(lane.queue.take_all(), error)
        except Exception as exc:  # a fault of ours; without this the jobs would wait for ever
            log.exception("dispatch.broke", version=version[:12])
            _fail_each([*(batch.jobs if batch else ()), *lane.queue.take_all()], _broke(exc))
        finally:
            pump.is_waiting = pump.is_busy = False

    async def _wait_for_company(self, lane: _Lane, device: str) -> None:
        """For as long as that pays; mostly not at all."""
        until_s = lane.queue.waits_until_s(self._clock(), device)
        while (now_s := self._clock()) < min(until_s, lane.queue.waits_until_s(now_s, device)):
            lane.arrived.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(lane.arrived.wait(), until_s - now_s)

    def _refuse_late(self, queue: VersionQueue[Job]) -> None:
        """At once: nobody is to wait for the end of a time that will not do."""
        for job in queue.take_late(self._clock()):
            told = "This could not be done any more in the time for this request."
            _fail(job, _refused(DeadlineExceeded(told), job.urgency))

    async def _run(self, lease: Lease, batch: Batch[Job], queue: VersionQueue[Job]) -> None:
        began_s, is_measured, took_s = self._clock(), queue.curve(lease.device).is_measured, None
        for number, job in enumerate(batch.jobs):
            job.worker = lease.worker, number
        try:
            results = await lease.worker.infer([job.utterance for job in batch.jobs])
            if all(result.outcome is not None for result in results):  # else it computed something else
                took_s = self._clock() - began_s
        except WorkerDied as died:
            log.warning("dispatch.worker_died", version=lease.version[:12], batch=len(batch.jobs), reason=str(died))
            self._try_again(lease.version, batch.jobs, queue)
            return
        except VoxgateError as error:
            _fail_each(batch.jobs, error)
            return
        finally:
            queue.finished(batch, self._clock(), took_s, lease.device)
            for job in batch.jobs:
                job.worker = None
        _measure(batch, began_s, took_s, is_guess=not is_measured)
        for job, result in zip(batch.jobs, results, strict=True):
            _settle(job, result, began_s, len(batch.jobs), lease)

    def _try_again(self, version: str, batch: list[Job], queue: VersionQueue[Job]) -> None:
        """Once, and alone: so that one poisonous input cannot take its neighbours down twice."""
        if batch[0].is_alone:
            (guilty,) = batch
            same = [job for job in queue if is_same(job.utterance.pcm, guilty.utterance.pcm)]
            error = self._quarantine.add(version, guilty.utterance.pcm)
            for job in (guilty, *same):  # the others would only kill more
                queue.remove(job)
                _fail(job, error)
        else:
            queue.put_back([job for job in batch if not job.answer.done()], self._clock())


def _measure(batch: Batch[Job], began_s: float, took_s: float | None, *, is_guess: bool) -> None:
    urgency = batch.urgency.value
    metrics.BATCH_SEGMENTS.labels(urgency).observe(len(batch.jobs))
    metrics.BATCH_AUDIO.labels(urgency, "speech").inc(batch.speech_s)
    metrics.BATCH_AUDIO.labels(urgency, "padding").inc(batch.padding_s)
    for job in batch.jobs:
        metrics.QUEUE_SECONDS.labels(urgency).observe(began_s - job.queued_s)
    if took_s is not None:
        metrics.BATCH_SECONDS.labels(urgency).observe(took_s)
    if took_s is not None and not is_guess:
        metrics.BATCH_RATIO.labels(urgency).observe(took_s / batch.predicted_s)


def _settle(job: Job, result: Result, began_s: float, batch_size: int, lease: Lease) -> None:
    if job.answer.done():
        return
    if result.failure is not None:
        job.answer.set_exception(result.failure.error())
    elif result.outcome is None:
        job.answer.set_exception(DeadlineExceeded("The time for this request was up before its turn came."))
    else:
        waited = {"load" if lease.is_cold else "queue": began_s - job.queued_s}
        shares = {stage: seconds / batch_size for stage, seconds in result.stages_s.items()}
        job.answer.set_result(Done(result.outcome, waited, shares, lease.is_cold, lease.device, lease.is_degraded))


def _too_late() -> ShuttingDown:
    return ShuttingDown("This gateway shut down before the answer was whole; another one may take this request.")


def _refused(error: VoxgateError, urgency: Urgency) -> VoxgateError:
    metrics.REFUSALS.labels(urgency.value, "full" if isinstance(error, QueueFull) else "late").inc()
    return error


def _broke(exc: Exception) -> PredictFailed:
    return PredictFailed(f"Dispatch broke over this request: {type(exc).__name__}.")


def _fail_each(jobs: list[Job], error: VoxgateError) -> None:
    for job in jobs:
        _fail(job, error)


def _fail(job: Job, error: VoxgateError) -> None:
    if not job.answer.done():
        job.answer.set_exception(error)

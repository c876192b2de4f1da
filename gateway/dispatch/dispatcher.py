"""From segments to workers: one queue per version, a lease per batch, one more try when a worker dies.

A version has as many batches computed at a time as it has predictors, each on a device of its own.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from gateway.dispatch.quarantine import Quarantine, is_same
from gateway.dispatch.queues import Done, Job, VersionQueue
from gateway.dispatch.settings import DispatchSettings
from model_store.errors import DeadlineExceeded, PredictFailed, QueueFull, ShuttingDown, VoxgateError
from model_store.predictors.hypotheses import Options
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

    queue: VersionQueue
    pumps: set[_Pump] = field(default_factory=set)

    @property
    def drain_s(self) -> float:
        """Seconds until what waits now will have been served."""
        return self.queue.drain_s / max(1, len(self.pumps))


class Dispatcher:
    """Takes utterances for versions, answers with what their predictors made of them."""

    def __init__(
        self, residency: ResidencyManager, settings: DispatchSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._residency = residency
        self._settings = settings
        self._quarantine = Quarantine(settings, clock)
        self._lanes: dict[str, _Lane] = {}
        self._unanswered: set[Job] = set()
        self._is_closed = False

    async def submit(
        self, version: str, pcm: Pcm, options: Options, *, tenant: str | None = None, deadline_s: float | None = None
    ) -> Done:
        """What `version` makes of `pcm`. Cancelling takes the work out of the queue.

        Raises QueueFull, DeadlineExceeded, WorkerLost, PredictFailed, ShuttingDown, and what a lease may raise.
        """
        if self._is_closed:
            raise _too_late()
        if refusal := self._quarantine.refusal(version, pcm):
            raise refusal
        lane = self._lanes.setdefault(version, _Lane(VersionQueue(self._settings)))
        if lane.queue.is_full:
            raise QueueFull("Too much waits for this model already; come back later.", retry_after_s=lane.drain_s)
        job = Job(Utterance(pcm, options, deadline_s), tenant, asyncio.get_running_loop().create_future())
        lane.queue.put(job)
        self._unanswered.add(job)
        self._start_pump(version, lane)
        try:
            return await job.answer
        except asyncio.CancelledError:
            lane.queue.remove(job)
            for pump in lane.pumps if not lane.queue else ():
                if pump.is_waiting and pump.task:
                    pump.task.cancel()  # nobody wants the lease that it waits for
            raise
        finally:
            self._unanswered.discard(job)

    def close(self) -> None:
        """Fail whoever still waits, and all who come: the time that they had to finish is up."""
        self._is_closed = True
        for job in self._unanswered:
            _fail(job, _too_late())

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
        try:
            async with self._residency.lease(version, lane.queue.demand()) as lease:
                pump.is_waiting = False
                if batch := lane.queue.take_batch():
                    pump.is_busy = True
                    self._start_pump(version, lane)  # for what is left
                    await self._run(lease, batch, lane.queue)
        except VoxgateError as error:  # no lease for anybody
            self._fail_all(lane, error)
        except Exception as exc:  # a fault of ours; without this the jobs would wait for ever
            log.exception("dispatch.broke", version=version[:12])
            self._fail_all(lane, PredictFailed(f"Dispatch broke over this request: {type(exc).__name__}."))
        finally:
            pump.is_waiting = pump.is_busy = False

    @staticmethod
    def _fail_all(lane: _Lane, error: VoxgateError) -> None:
        for job in lane.queue.take_all():
            _fail(job, error)

    async def _run(self, lease: Lease, batch: list[Job], queue: VersionQueue) -> None:
        began_s = time.monotonic()
        try:
            results = await lease.worker.infer([job.utterance for job in batch])
        except WorkerDied as died:
            log.warning("dispatch.worker_died", version=lease.version[:12], batch=len(batch), reason=str(died))
            self._try_again(lease.version, batch, queue)
            return
        except VoxgateError as error:
            for job in batch:
                _fail(job, error)
            return
        queue.served(len(batch), time.monotonic() - began_s)
        for job, result in zip(batch, results, strict=True):
            _settle(job, result, began_s, len(batch), lease)

    def _try_again(self, version: str, batch: list[Job], queue: VersionQueue) -> None:
        """Once, and alone: so that one poisonous input cannot take its neighbours down twice."""
        if batch[0].is_alone:
            (guilty,) = batch
            same = [job for job in queue if is_same(job.utterance.pcm, guilty.utterance.pcm)]
            error = self._quarantine.add(version, guilty.utterance.pcm)
            for job in (guilty, *same):  # the others would only kill more
                queue.remove(job)
                _fail(job, error)
        else:
            queue.put_back([job for job in batch if not job.answer.done()])


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


def _fail(job: Job, error: VoxgateError) -> None:
    if not job.answer.done():
        job.answer.set_exception(error)

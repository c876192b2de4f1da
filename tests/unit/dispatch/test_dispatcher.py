"""The dispatcher over scripted workers: what happens when they answer, refuse, die or are nowhere to be had."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime

import numpy as np
import pytest
from prometheus_client import REGISTRY

from gateway.dispatch.dispatcher import Dispatcher
from gateway.dispatch.jobs import Urgency
from gateway.dispatch.settings import DispatchSettings
from model_store.errors import DeadlineExceeded, LoadFailed, PredictFailed, QueueFull, WorkerLost
from model_store.predictors.hypotheses import AsrOptions, Identification
from model_store.residency.events import Demand
from model_store.residency.manager import Lease
from model_store.runtime.messages import Failure, Result
from model_store.runtime.seam import Utterance, WorkerDied

Answer = Callable[[Sequence[Utterance]], list[Result]]


def answered(batch: Sequence[Utterance]) -> list[Result]:
    return [Result(i, outcome=Identification({"zh": float(u.pcm[0])})) for i, u in enumerate(batch)]


def dies(_: Sequence[Utterance]) -> list[Result]:
    raise WorkerDied("killed by a test")


class ScriptedWorker:
    """Answers batches by its script, then well."""

    def __init__(self, *script: Answer) -> None:
        self.script = list(script)
        self.batches: list[int] = []
        self.skipped: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.is_asked = asyncio.Event()

    async def infer(self, batch: Sequence[Utterance]) -> list[Result]:
        self.batches.append(len(batch))
        self.is_asked.set()
        await asyncio.sleep(0)
        await self.gate.wait()
        return (self.script.pop(0) if self.script else answered)(batch)

    def skip(self, number: int) -> None:
        self.skipped.append(number)


class Residency:
    """Leases on one worker, given when the gate is open; counts who holds one."""

    def __init__(
        self,
        worker: ScriptedWorker,
        refusal: Exception | None = None,
        *,
        device: str = "cpu",
        is_degraded: bool = False,
        predictors: int = 1,
    ) -> None:
        self.worker = worker
        self.refusal = refusal
        self.device, self.is_degraded = device, is_degraded
        self.gate = asyncio.Event()
        self.gate.set()
        self.held = 0
        self.most_held = 0
        self._predictors = predictors
        self.is_wanted = asyncio.Event()
        self.is_given_up = asyncio.Event()

    def predictors(self, version: str) -> int:
        return self._predictors

    @contextlib.asynccontextmanager
    async def lease(self, version: str, demand: Demand) -> AsyncIterator[Lease]:
        self.is_wanted.set()
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.is_given_up.set()
            raise
        if self.refusal:
            raise self.refusal
        self.held += 1
        self.most_held = max(self.most_held, self.held)
        try:
            yield Lease(self.worker, version, False, self.device, self.is_degraded)  # type: ignore[arg-type]
        finally:
            self.held -= 1


def dispatcher(residency: Residency, **settings: float) -> Dispatcher:
    return Dispatcher(residency, DispatchSettings(**settings))  # type: ignore[arg-type]


def pcm(value: float = 0.0) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    return np.full(1600, value, np.float32)


async def test_submit_jobs_that_wait_together_travel_together_and_each_gets_its_own_answer() -> None:
    residency = Residency(ScriptedWorker())
    residency.gate.clear()
    it = dispatcher(residency)
    asking = [asyncio.create_task(it.submit("v", pcm(i), AsrOptions())) for i in range(5)]
    await residency.is_wanted.wait()
    residency.gate.set()
    done = await asyncio.gather(*asking)
    assert [answer.outcome.posteriors["zh"] for answer in done] == [0, 1, 2, 3, 4]  # type: ignore[union-attr]
    assert residency.worker.batches == [5]
    assert residency.held == 0


@pytest.mark.parametrize("predictors", [1, 2, 3])
async def test_submit_as_many_batches_are_computed_at_a_time_as_there_are_predictors(predictors: int) -> None:
    residency = Residency(ScriptedWorker(), predictors=predictors)
    it = dispatcher(residency, max_batch=1)
    assert len(await asyncio.gather(*(it.submit("v", pcm(i), AsrOptions()) for i in range(9)))) == 9
    assert residency.most_held == predictors
    assert residency.worker.batches == [1] * 9
    assert residency.held == 0


@pytest.mark.parametrize(("device", "is_degraded"), [("gpu:0", False), ("cpu", True), ("cpu", False)])
async def test_submit_answer_says_where_it_was_computed_and_whether_that_stood_in(
    device: str, is_degraded: bool
) -> None:
    done = await dispatcher(Residency(ScriptedWorker(), device=device, is_degraded=is_degraded)).submit(
        "v", pcm(), AsrOptions()
    )
    assert (done.device, done.is_degraded, done.is_cold) == (device, is_degraded, False)


async def test_submit_worker_dies_once_each_is_tried_again_alone() -> None:
    residency = Residency(ScriptedWorker(dies))
    it = dispatcher(residency)
    done = await asyncio.gather(*(it.submit("v", pcm(i), AsrOptions()) for i in range(3)))
    assert len(done) == 3
    assert residency.worker.batches == [3, 1, 1, 1]


async def test_submit_worker_dies_twice_fails_that_request_alone() -> None:
    residency = Residency(ScriptedWorker(dies, dies))
    it = dispatcher(residency)
    results = await asyncio.gather(*(it.submit("v", pcm(i), AsrOptions()) for i in range(3)), return_exceptions=True)
    assert [type(result).__name__ for result in results] == ["WorkerLost", "Done", "Done"]
    assert isinstance(results[0], WorkerLost)


async def test_submit_input_that_killed_two_workers_is_refused_at_once_and_kills_nobody() -> None:
    residency = Residency(ScriptedWorker(dies, dies))
    it = dispatcher(residency)
    for _ in range(3):
        with pytest.raises(WorkerLost) as lost:
            await it.submit("v", pcm(1), AsrOptions())
        until = datetime.fromisoformat(lost.value.details["quarantined_until"])
        assert 590 < (until - datetime.now(UTC)).total_seconds() <= 600
    assert residency.worker.batches == [1, 1]
    assert await it.submit("v", pcm(2), AsrOptions())
    assert await it.submit("another version", pcm(1), AsrOptions())


async def test_submit_input_that_killed_two_workers_takes_its_copies_in_the_queue_with_it() -> None:
    def poisoned(batch: Sequence[Utterance]) -> list[Result]:
        return dies(batch) if any(np.isnan(u.pcm[0]) for u in batch) else answered(batch)

    residency = Residency(ScriptedWorker(*[poisoned] * 100))
    it = dispatcher(residency, max_batch=4)
    values = (1, np.nan, 2, np.nan, np.nan, 3, 4, np.nan)
    results = await asyncio.gather(*(it.submit("v", pcm(v), AsrOptions()) for v in values), return_exceptions=True)
    assert [isinstance(result, WorkerLost) for result in results] == [np.isnan(value) for value in values]
    assert residency.worker.batches == [4, 1, 1, 1, 2]  # two of these five killed a worker


async def test_submit_quarantine_ends_in_time() -> None:
    now_s = 0.0
    residency = Residency(ScriptedWorker(dies, dies))
    it = Dispatcher(residency, DispatchSettings(quarantine_s=60.0), lambda: now_s)  # type: ignore[arg-type]
    with pytest.raises(WorkerLost):
        await it.submit("v", pcm(1), AsrOptions())
    now_s = 59.0
    with pytest.raises(WorkerLost):
        await it.submit("v", pcm(1), AsrOptions())
    now_s = 60.0
    assert await it.submit("v", pcm(1), AsrOptions())


async def test_submit_quarantine_that_is_switched_off_refuses_nobody() -> None:
    it = dispatcher(Residency(ScriptedWorker(dies, dies)), quarantine_s=0)
    with pytest.raises(WorkerLost):
        await it.submit("v", pcm(1), AsrOptions())
    assert await it.submit("v", pcm(1), AsrOptions())


async def test_submit_lease_refused_fails_all_that_wait() -> None:
    it = dispatcher(Residency(ScriptedWorker(), LoadFailed("broken")))
    results = await asyncio.gather(*(it.submit("v", pcm(), AsrOptions()) for _ in range(3)), return_exceptions=True)
    assert [str(result) for result in results] == ["broken"] * 3


async def test_submit_fault_of_ours_leaves_nobody_waiting() -> None:
    it = dispatcher(Residency(ScriptedWorker(), RuntimeError("a bug")))
    with pytest.raises(PredictFailed):
        await it.submit("v", pcm(), AsrOptions())


async def test_submit_predictor_fails_one_item_the_others_are_answered() -> None:
    def half(batch: Sequence[Utterance]) -> list[Result]:
        return [Result(0, failure=Failure("predict_failed", "bad input")), *answered(batch)[1:]]

    it = dispatcher(Residency(ScriptedWorker(half)))
    results = await asyncio.gather(*(it.submit("v", pcm(), AsrOptions()) for _ in range(2)), return_exceptions=True)
    assert isinstance(results[0], PredictFailed)
    assert not isinstance(results[1], BaseException)


async def test_submit_item_that_came_too_late_exceeds_its_deadline() -> None:
    it = dispatcher(Residency(ScriptedWorker(lambda batch: [Result(0)])))
    with pytest.raises(DeadlineExceeded):
        await it.submit("v", pcm(), AsrOptions(), deadline_s=0.0)


async def test_submit_beyond_the_queue_is_refused_with_a_time_to_come_back() -> None:
    residency = Residency(ScriptedWorker())
    residency.gate.clear()
    it = dispatcher(residency, max_queue=1)
    first = asyncio.create_task(it.submit("v", pcm(), AsrOptions()))
    await asyncio.sleep(0)
    with pytest.raises(QueueFull) as refused:
        await it.submit("v", pcm(), AsrOptions())
    assert refused.value.retry_after_s >= 1.0
    residency.gate.set()
    await first


async def test_submit_all_callers_gone_gives_up_the_wait_for_a_lease() -> None:
    residency = Residency(ScriptedWorker())
    residency.gate.clear()
    it = dispatcher(residency)
    asking = [asyncio.create_task(it.submit("v", pcm(), AsrOptions())) for _ in range(3)]
    await residency.is_wanted.wait()
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    await residency.is_given_up.wait()
    assert residency.worker.batches == []
    residency.gate.set()
    assert await it.submit("v", pcm(), AsrOptions())  # and the lane still serves


async def test_submit_caller_gone_while_it_computes_the_worker_is_told_and_the_others_are_answered() -> None:
    residency = Residency(ScriptedWorker(lambda batch: [answered(batch)[0], Result(1), answered(batch)[2]]))
    residency.worker.gate.clear()
    it = dispatcher(residency)
    asking = [asyncio.create_task(it.submit("v", pcm(i), AsrOptions())) for i in range(3)]
    await residency.worker.is_asked.wait()
    asking[1].cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking[1]
    assert residency.worker.skipped == [1]
    residency.worker.gate.set()
    assert [done.outcome.posteriors["zh"] for done in await asyncio.gather(asking[0], asking[2])] == [0, 2]  # type: ignore[union-attr]


async def test_submit_caller_gone_before_its_turn_is_never_computed() -> None:
    residency = Residency(ScriptedWorker())
    residency.worker.gate.clear()
    it = dispatcher(residency, max_batch=1)
    asking = [asyncio.create_task(it.submit("v", pcm(i), AsrOptions())) for i in range(3)]
    await residency.worker.is_asked.wait()
    asking[1].cancel()
    await asyncio.gather(asking[1], return_exceptions=True)
    residency.worker.gate.set()
    await asyncio.gather(asking[0], asking[2])
    assert residency.worker.batches == [1, 1]
    assert residency.worker.skipped == []


async def test_submit_worker_breaks_in_a_way_that_nobody_foresaw_leaves_nobody_waiting() -> None:
    def broken(_: Sequence[Utterance]) -> list[Result]:
        raise RuntimeError("a bug")

    residency = Residency(ScriptedWorker(broken))
    it = dispatcher(residency)
    results = await asyncio.gather(*(it.submit("v", pcm(), AsrOptions()) for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [PredictFailed] * 3
    assert await it.submit("v", pcm(), AsrOptions())


async def test_submit_fault_of_ours_after_the_batch_was_computed_leaves_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("a figure that cannot be")

    monkeypatch.setattr("gateway.dispatch.dispatcher._measure", broken)
    it = dispatcher(Residency(ScriptedWorker()))
    answers = asyncio.gather(*(it.submit("v", pcm(), AsrOptions()) for _ in range(3)), return_exceptions=True)
    results = await asyncio.wait_for(answers, 10)
    assert [type(result) for result in results] == [PredictFailed] * 3


async def test_submit_many_of_one_length_whose_sum_is_rounded_are_answered() -> None:
    # Nine times 0.9 is less than the sum of nine: a count of padding must not go backwards over it.
    residency = Residency(ScriptedWorker())
    residency.gate.clear()
    it, sound = dispatcher(residency), np.zeros(14_400, np.float32)
    asking = [asyncio.create_task(it.submit("v", sound, AsrOptions())) for _ in range(40)]
    await residency.is_wanted.wait()
    residency.gate.set()
    assert len(await asyncio.wait_for(asyncio.gather(*asking), 10)) == 40
    assert 9 in residency.worker.batches


async def test_submit_interactive_goes_before_bulk() -> None:
    residency = Residency(ScriptedWorker())
    residency.gate.clear()
    it = dispatcher(residency, max_batch=1)
    order: list[str] = []

    async def ask(urgency: Urgency) -> None:
        await it.submit("v", pcm(), AsrOptions(), urgency=urgency)
        order.append(urgency)

    asking = [asyncio.create_task(ask(urgency)) for urgency in (Urgency.BULK, Urgency.BULK, Urgency.INTERACTIVE)]
    await residency.is_wanted.wait()
    residency.gate.set()
    await asyncio.gather(*asking)
    assert order == ["interactive", "bulk", "bulk"]


async def test_check_full_queue_is_told_before_anything_is_done() -> None:
    residency = Residency(ScriptedWorker())
    residency.gate.clear()
    it = dispatcher(residency, max_queue=1)
    it.check("v")
    first = asyncio.create_task(it.submit("v", pcm(), AsrOptions()))
    await residency.is_wanted.wait()
    with pytest.raises(QueueFull):
        it.check("v")
    it.check("v", urgency=Urgency.BULK)
    it.check("another version")
    residency.gate.set()
    await first
    it.check("v")


async def test_check_time_that_a_recording_cannot_be_done_in_is_refused_once_that_is_known() -> None:
    residency = Residency(ScriptedWorker())
    now_s = 0.0

    def clock() -> float:
        nonlocal now_s
        now_s += 0.5  # whatever is done takes half a second
        return now_s

    it = Dispatcher(residency, DispatchSettings(), clock)  # type: ignore[arg-type]
    it.check_time("v", 3600.0, now_s + 5.0, urgency=Urgency.BULK)
    await it.submit("v", pcm(), AsrOptions())
    with pytest.raises(DeadlineExceeded, match="partial"):
        it.check_time("v", 3600.0, now_s + 5.0, urgency=Urgency.BULK)


async def test_submit_counts_batches_padding_waits_and_refusals() -> None:
    names = {
        "segments": ("voxgate_batch_segments_sum", {"class": "bulk"}),
        "speech": ("voxgate_batch_audio_seconds_total", {"class": "bulk", "kind": "speech"}),
        "padding": ("voxgate_batch_audio_seconds_total", {"class": "bulk", "kind": "padding"}),
        "waits": ("voxgate_queue_seconds_count", {"class": "bulk"}),
        "computed": ("voxgate_batch_seconds_count", {"class": "bulk"}),
        "full": ("voxgate_queue_refusals_total", {"class": "bulk", "reason": "full"}),
        "late": ("voxgate_queue_refusals_total", {"class": "bulk", "reason": "late"}),
    }

    def counted() -> dict[str, float]:
        return {key: REGISTRY.get_sample_value(name, labels) or 0.0 for key, (name, labels) in names.items()}

    residency = Residency(ScriptedWorker())
    residency.gate.clear()
    it, before = dispatcher(residency, max_queue=2, max_padding=0.5), counted()
    clips = [np.zeros(1600, np.float32), np.zeros(800, np.float32)]
    asking = [asyncio.create_task(it.submit("v", clip, AsrOptions(), urgency=Urgency.BULK)) for clip in clips]
    await residency.is_wanted.wait()
    with pytest.raises(QueueFull):
        await it.submit("v", pcm(), AsrOptions(), urgency=Urgency.BULK)
    residency.gate.set()
    await asyncio.gather(*asking)
    with pytest.raises(DeadlineExceeded):
        await it.submit("v", pcm(), AsrOptions(), urgency=Urgency.BULK, deadline_s=0.0)
    assert {key: round(value - before[key], 6) for key, value in counted().items()} == {
        "segments": 2,
        "speech": 0.15,
        "padding": 0.05,
        "waits": 2,
        "computed": 1,
        "full": 1,
        "late": 1,
    }

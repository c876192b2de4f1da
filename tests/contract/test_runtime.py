"""What a runtime promises, held against both ways of starting workers, with real processes and a real model."""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psutil
import pytest
import pytest_asyncio

from model_store.artifacts.graphs import can_convert, graph_key
from model_store.artifacts.store import ArtifactStore
from model_store.errors import ArtifactCorrupt, LoadFailed, PredictFailed
from model_store.predictors.hypotheses import AsrOptions, LidOptions, Recognition
from model_store.runtime.local import LocalRuntime
from model_store.runtime.messages import Load
from model_store.runtime.seam import Pcm, Utterance, Worker, WorkerDied
from model_store.runtime.settings import RuntimeSettings

RATE_HZ = 16_000
_HUNG_S = 2.0
_DEADLINE_S = 60.0

pytestmark = pytest.mark.asyncio(loop_scope="module")


def made(seconds: float, seed: int = 0) -> Pcm:
    """Sound that the model says something to, another for every seed."""
    return np.random.default_rng(seed).normal(0, 0.1, int(seconds * RATE_HZ)).astype(np.float32)


def said(pcm: Pcm, **more: Any) -> Utterance:
    return Utterance(pcm, AsrOptions(beam_size=4), **more)


async def soon(answer: Awaitable[Any]) -> Any:
    """What it gives, or a failure instead of a test that hangs."""
    return await asyncio.wait_for(answer, _DEADLINE_S)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["fork", "spawn"])
async def runtime(request: pytest.FixtureRequest) -> AsyncIterator[LocalRuntime]:
    settings = RuntimeSettings(
        start=request.param, threads=1, heartbeat_s=0.1, infer_timeout_s=_HUNG_S, arena_bytes=2**21, precision="fp32"
    )
    runtime = LocalRuntime(settings)
    await soon(runtime.start())
    yield runtime
    await soon(runtime.stop())
    assert not [child for child in psutil.Process().children() if "model_store.runtime" in " ".join(child.cmdline())]


@pytest.fixture(scope="module")
def command(golden: Any) -> Load:
    return Load(
        version_dir=str(golden.version_dir), graph_dir=str(golden.graph_dir), precision="fp32", threads=1, device="cpu"
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def serving(runtime: LocalRuntime, command: Load) -> Worker:
    """A loaded worker, for tests that leave it as it was."""
    worker = await soon(runtime.spawn())
    await soon(worker.load(command))
    return worker


@pytest_asyncio.fixture(loop_scope="module")
async def new_worker(runtime: LocalRuntime, command: Load) -> AsyncIterator[Callable[..., Awaitable[Worker]]]:
    """Makes workers, loaded unless told otherwise."""
    workers: list[Worker] = []

    async def make(*, is_loaded: bool = True) -> Worker:
        worker = await soon(runtime.spawn())
        workers.append(worker)
        if is_loaded:
            await soon(worker.load(command))
        return worker

    yield make
    for worker in workers:
        worker.kill()
        await soon(asyncio.shield(worker.exited))


NewWorker = Callable[..., Awaitable[Worker]]


async def test_load_warms_the_predictor_and_tells_how_long_each_step_took(new_worker: NewWorker, command: Load) -> None:
    worker = await new_worker(is_loaded=False)
    loaded = await soon(worker.load(command))
    assert loaded.stages_s.keys() == {"create", "warm_up"}
    assert all(seconds > 0 for seconds in loaded.stages_s.values())


async def test_load_that_is_urgent_answers_at_once_and_is_warm_by_and_by(
    new_worker: NewWorker, command: Load, serving: Worker
) -> None:
    worker = await new_worker(is_loaded=False)
    loaded = await soon(worker.load(msgspec.structs.replace(command, is_urgent=True)))
    assert loaded.stages_s["warm_up"] < loaded.stages_s["create"]
    clip = [said(made(1.0))]
    assert (await soon(worker.infer(clip)))[0].outcome == (await soon(serving.infer(clip)))[0].outcome
    while not worker.is_warm:  # noqa: ASYNC110  (its heartbeats tell)
        await asyncio.sleep(0.01)
    assert serving.is_warm
    assert (await soon(worker.infer(clip)))[0].outcome == (await soon(serving.infer(clip)))[0].outcome


async def test_load_of_a_corrupt_graph_is_refused_and_the_worker_ends(
    new_worker: NewWorker, command: Load, tmp_path: Path
) -> None:
    spoilt = shutil.copytree(command.graph_dir, tmp_path / "graph")
    weights = spoilt / "encoder.pdiparams"
    weights.write_bytes(weights.read_bytes()[:-100] + bytes(100))
    worker = await new_worker(is_loaded=False)
    broken = Load(
        version_dir=command.version_dir, graph_dir=str(spoilt), precision="fp32", threads=1, device=command.device
    )
    with pytest.raises(ArtifactCorrupt):
        await soon(worker.load(broken))
    await soon(asyncio.shield(worker.exited))


async def test_load_of_what_is_not_there_is_refused(new_worker: NewWorker, command: Load, tmp_path: Path) -> None:
    worker = await new_worker(is_loaded=False)
    nowhere = Load(
        version_dir=str(tmp_path / "none"), graph_dir=command.graph_dir, precision="fp32", threads=1, device="cpu"
    )
    with pytest.raises((ArtifactCorrupt, LoadFailed)):
        await soon(worker.load(nowhere))


async def test_load_worker_killed_meanwhile_is_seen_at_once(new_worker: NewWorker, command: Load) -> None:
    worker = await new_worker(is_loaded=False)
    os.kill(worker.pid, signal.SIGSTOP)
    loading = asyncio.ensure_future(worker.load(command))
    await asyncio.sleep(0)
    os.kill(worker.pid, signal.SIGKILL)
    began_s = time.monotonic()
    with pytest.raises(WorkerDied):
        await soon(loading)
    assert time.monotonic() - began_s < 1.0


async def test_infer_gives_each_utterance_its_own_outcome_in_order(serving: Worker) -> None:
    clips = [made(seconds, seed) for seed, seconds in enumerate((3.0, 1.0, 2.0))]
    together = await soon(serving.infer([said(clip) for clip in clips]))
    alone = [(await soon(serving.infer([said(clip)])))[0] for clip in clips]
    texts = [result.outcome.hypotheses[0].text for result in together]
    assert texts == [result.outcome.hypotheses[0].text for result in alone]
    assert len(set(texts)) == len(texts)
    assert together[0].stages_s.keys() == {"features", "encoder", "search", "rescoring"}


async def test_infer_what_the_predictor_refuses_is_a_failure_and_the_worker_serves_on(serving: Worker) -> None:
    (refused,) = await soon(serving.infer([Utterance(made(1.0), LidOptions())]))
    assert refused.outcome is None
    assert refused.failure.code == PredictFailed.code
    (result,) = await soon(serving.infer([said(made(1.0))]))
    assert isinstance(result.outcome, Recognition)


@pytest.mark.skipif(not can_convert(), reason="the extra `openvino` is not installed")
async def test_infer_with_either_engine_says_the_same_and_both_end_when_stopped(
    new_worker: NewWorker, golden: Any, command: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    from model_store.importers import conversion

    monkeypatch.setattr(conversion, "stuck_at", lambda *_: "")  # takes seconds, and has a test of its own
    conversion.convert(golden.version_dir.name, ArtifactStore(golden.version_dir.parents[1]))
    converted = golden.graph_dir.with_name(graph_key("openvino"))
    texts = []
    for how in (command, msgspec.structs.replace(command, graph_dir=str(converted), engine="openvino")):
        worker = await new_worker(is_loaded=False)
        await soon(worker.load(how))
        results = await soon(worker.infer([said(made(seconds, 3)) for seconds in (1.0, 2.0)]))
        texts.append([result.outcome.hypotheses[0].text for result in results])
        await soon(worker.stop(grace_s=30.0))
        assert not psutil.pid_exists(worker.pid) or psutil.Process(worker.pid).status() == psutil.STATUS_ZOMBIE
    assert texts[0] == texts[1]


async def test_infer_too_late_comes_back_without_an_outcome_and_its_neighbour_with_one(serving: Worker) -> None:
    late, early = said(made(1.0), deadline_s=time.monotonic() - 1), said(made(1.0))
    results = await soon(serving.infer([late, early]))
    assert (results[0].outcome, results[0].failure) == (None, None)
    assert isinstance(results[1].outcome, Recognition)


async def test_infer_more_than_the_arena_holds_is_refused_and_the_worker_serves_on(serving: Worker) -> None:
    with pytest.raises(PredictFailed, match="arena_bytes"):
        await serving.infer([said(made(20.0)), said(made(20.0))])
    (result,) = await soon(serving.infer([said(made(30.0))]))
    assert isinstance(result.outcome, Recognition)


async def test_infer_cancelled_the_worker_is_told_and_takes_the_next_batch(serving: Worker) -> None:
    expected = (await soon(serving.infer([said(made(1.0, 7))])))[0].outcome
    os.kill(serving.pid, signal.SIGSTOP)
    asking = asyncio.ensure_future(serving.infer([said(made(30.0))]))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    os.kill(serving.pid, signal.SIGCONT)
    (result,) = await soon(serving.infer([said(made(1.0, 7))]))
    assert result.outcome == expected


async def test_infer_skipped_item_fails_nothing_and_its_neighbour_is_answered(serving: Worker) -> None:
    expected = (await soon(serving.infer([said(made(1.0, 7))])))[0].outcome
    os.kill(serving.pid, signal.SIGSTOP)
    asking = asyncio.ensure_future(serving.infer([said(made(20.0)), said(made(1.0, 7))]))
    await asyncio.sleep(0)
    serving.skip(0)
    os.kill(serving.pid, signal.SIGCONT)
    skipped, kept = await soon(asking)
    assert skipped.failure is None  # without an outcome, if it had not begun
    assert kept.outcome.hypotheses[0].text == expected.hypotheses[0].text


async def test_infer_worker_dies_meanwhile_is_seen_at_once(new_worker: NewWorker) -> None:
    worker = await new_worker()
    os.kill(worker.pid, signal.SIGSTOP)
    asking = asyncio.ensure_future(worker.infer([said(made(1.0))]))
    await asyncio.sleep(0)
    os.kill(worker.pid, signal.SIGKILL)
    began_s = time.monotonic()
    with pytest.raises(WorkerDied):
        await soon(asking)
    assert time.monotonic() - began_s < _HUNG_S / 2


async def test_infer_on_a_worker_that_has_died_says_so(new_worker: NewWorker) -> None:
    worker = await new_worker()
    worker.kill()
    await soon(asyncio.shield(worker.exited))
    with pytest.raises(WorkerDied):
        await soon(worker.infer([said(made(1.0))]))


async def test_infer_worker_hangs_is_killed_when_its_time_is_up(new_worker: NewWorker) -> None:
    worker = await new_worker()
    os.kill(worker.pid, signal.SIGSTOP)
    began_s = time.monotonic()
    with pytest.raises(WorkerDied, match="did not answer"):
        await soon(worker.infer([said(made(1.0))]))
    assert time.monotonic() - began_s >= _HUNG_S
    assert worker.exited.done()


async def test_stop_lets_the_worker_finish_what_it_has(new_worker: NewWorker) -> None:
    worker = await new_worker()
    asking = asyncio.ensure_future(worker.infer([said(made(30.0))]))
    await asyncio.sleep(0)
    await soon(worker.stop(grace_s=30.0))
    (result,) = await soon(asking)
    assert isinstance(result.outcome, Recognition)
    assert not psutil.pid_exists(worker.pid) or psutil.Process(worker.pid).status() == psutil.STATUS_ZOMBIE


async def test_stop_kills_a_worker_that_does_not_end(new_worker: NewWorker) -> None:
    worker = await new_worker()
    os.kill(worker.pid, signal.SIGSTOP)
    await soon(worker.stop(grace_s=0.2))
    assert worker.exited.done()
    assert worker.private_bytes() == 0


async def test_stop_worker_that_has_died_returns(new_worker: NewWorker) -> None:
    worker = await new_worker()
    worker.kill()
    await soon(worker.stop(grace_s=30.0))
    assert worker.exited.done()


async def test_private_bytes_are_the_kernels_figure_and_the_peak_is_no_less(serving: Worker) -> None:
    maps = psutil.Process(serving.pid).memory_maps(grouped=False)
    told = serving.private_bytes()
    assert told == pytest.approx(sum(one.private_dirty for one in maps), rel=0.02)
    assert serving.peak_private_bytes >= 0.98 * told
    assert 0 < serving.most_run_bytes <= serving.peak_private_bytes


async def test_shared_bytes_are_those_of_a_process_that_has_imported_paddle(runtime: LocalRuntime) -> None:
    assert 100 * 2**20 < runtime.shared_bytes() < 2**30


async def test_spawned_many_at_once_are_as_many_processes(new_worker: NewWorker) -> None:
    workers = await asyncio.gather(*(new_worker() for _ in range(3)))
    assert len({worker.pid for worker in workers}) == 3
    results = await asyncio.gather(*(worker.infer([said(made(1.0))]) for worker in workers))
    assert len({result.outcome.hypotheses[0].text for (result,) in results}) == 1

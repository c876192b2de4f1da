"""A worker process whose predictor fails, seen over its socket."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import msgspec
import pytest

from model_store.predictors.hypotheses import AsrOptions
from model_store.runtime import blocking
from model_store.runtime.messages import (
    Drain,
    FromWorker,
    Heartbeat,
    Infer,
    Item,
    Load,
    Loaded,
    LoadRefused,
    Result,
    ToWorker,
    frame,
    from_worker,
)

LOAD = Load(version_dir="/v", graph_dir="/g", precision="fp32", threads=1, device="cpu")
URGENT = msgspec.structs.replace(LOAD, is_urgent=True)
ILLEGAL = "(External) CUDA error(700), an illegal memory access was encountered."
BROKEN_STATUS = 70

# The worker as it is, but for what it loads: a predictor that raises what the test says, when the test says. Where that
# is "none" it takes more memory than any heartbeat told.
SERVE = """
import sys, threading
from model_store.runtime import worker
from model_store.engines.faults import as_error
from model_store.errors import LoadFailed, PredictFailed
from model_store.predictors.hypotheses import Recognition
from model_store.predictors.predictor import Prediction
sock, arena, when, kind, text = sys.argv[1:]
raised = {"memory": MemoryError, "os": OSError, "value": ValueError}.get(kind, Exception)(text)
class Failing:
    def warm_up(self):
        if when == "load":
            raise as_error(raised, LoadFailed, "It cannot be loaded") from raised
        yield
        if when == "second step":
            raise as_error(raised, LoadFailed, "It cannot be loaded") from raised
        yield
        if when == "never":
            print("at work", flush=True)
            threading.Event().wait()
    def predict(self, batch, options):
        if kind == "none":
            self.kept = b"x" * 100_000_000
            return Prediction([Recognition(())], {})
        if kind == "value":
            raise raised
        raise as_error(raised, PredictFailed, "It cannot run") from raised
worker.load = lambda *_, **__: Failing()
worker.serve(int(sock), int(arena), 60.0)
"""


class Process:
    """The other side of a worker's socket."""

    def __init__(self, when: str, kind: str, text: str) -> None:
        self._ours, theirs = socket.socketpair()
        arena = os.memfd_create("test-arena")
        os.ftruncate(arena, 4096)
        descriptors = (theirs.fileno(), arena)
        command = [sys.executable, "-W", "ignore", "-c", SERVE, *map(str, descriptors), when, kind, text]
        self.process = subprocess.Popen(command, pass_fds=descriptors, stdout=subprocess.PIPE, text=True)
        theirs.close()
        os.close(arena)

    def ask(self, message: ToWorker) -> FromWorker | None:
        """What it answers, None when it ended instead."""
        self._ours.sendall(frame(message))
        return next((answer for answer in self.heard() if not isinstance(answer, Heartbeat)), None)

    def heard(self) -> Iterator[FromWorker]:
        """What it says, until it ends."""
        while body := blocking.receive(self._ours):
            yield from_worker.decode(body)

    def end(self) -> None:
        self._ours.close()
        self.process.kill()
        self.process.communicate()


Start = Callable[[str, str, str], Process]


@pytest.fixture
def started() -> Iterator[Start]:
    processes: list[Process] = []

    def start(when: str, kind: str, text: str) -> Process:
        processes.append(Process(when, kind, text))
        return processes[-1]

    yield start
    for process in processes:
        process.end()


INFER = Infer((Item(1, 0, 100, AsrOptions()),))


def test_worker_whose_device_failed_it_ends_with_a_line_in_the_log_and_no_answer(started: Start) -> None:
    worker = started("infer", "os", ILLEGAL)
    assert isinstance(worker.ask(LOAD), Loaded)
    assert worker.ask(INFER) is None
    said, _ = worker.process.communicate(timeout=30)
    assert worker.process.returncode == BROKEN_STATUS
    assert "worker.broke" in said
    assert "CUDA error(700)" in said


def test_worker_whose_device_fails_it_while_it_loads_ends_without_an_answer(started: Start) -> None:
    worker = started("load", "os", ILLEGAL)
    assert worker.ask(LOAD) is None
    assert worker.process.wait(timeout=30) == BROKEN_STATUS


@pytest.mark.parametrize("when", ["load", "second step"])
def test_worker_that_runs_out_of_memory_over_a_load_says_so(started: Start, when: str) -> None:
    refused = started(when, "memory", "").ask(LOAD)
    assert isinstance(refused, LoadRefused)
    assert refused.failure.code == "device_memory_exhausted"


def test_worker_that_fails_over_a_batch_answers_and_serves_on(started: Start) -> None:
    worker = started("infer", "value", "no such thing")
    worker.ask(LOAD)
    for _ in range(2):
        result = worker.ask(INFER)
        assert isinstance(result, Result)
        assert result.failure is not None
        assert (result.failure.code, "no such thing" in result.failure.message) == ("predict_failed", True)


def test_worker_that_took_more_memory_says_so_at_once_but_answers_first(started: Start) -> None:
    worker = started("infer", "none", "")
    worker.ask(LOAD)
    assert isinstance(worker.ask(INFER), Result)
    told = next(worker.heard())
    assert isinstance(told, Heartbeat)
    assert told.private_bytes > 100_000_000


def test_worker_that_is_urgent_stands_before_it_is_warm_and_warms_up_while_nobody_asks(started: Start) -> None:
    worker = started("infer", "value", "no such thing")
    worker.ask(URGENT)
    told = (one.is_warm for one in worker.heard() if isinstance(one, Heartbeat))
    assert (next(told), any(told)) == (False, True)


def test_worker_that_is_urgent_serves_on_when_its_warm_up_fails(started: Start) -> None:
    worker = started("second step", "memory", "")
    assert isinstance(worker.ask(URGENT), Loaded)
    assert any(one.is_warm for one in worker.heard() if isinstance(one, Heartbeat))
    assert isinstance(worker.ask(INFER), Result)


def test_worker_that_is_to_end_over_a_step_of_its_warm_up_ends_at_once(started: Start) -> None:
    worker = started("never", "value", "")
    worker.ask(URGENT)
    assert worker.process.stdout
    assert worker.process.stdout.readline() == "at work\n"
    assert worker.ask(Drain()) is None
    assert worker.process.wait(timeout=30) == 0

"""A worker process whose predictor fails, seen over its socket."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from model_store.predictors.hypotheses import AsrOptions
from model_store.runtime import blocking
from model_store.runtime.messages import (
    FromWorker,
    Heartbeat,
    Infer,
    Item,
    Load,
    Loaded,
    LoadRefused,
    Result,
    frame,
    from_worker,
)

LOAD = Load(version_dir="/v", graph_dir="/g", precision="fp32", threads=1, device="cpu")
ILLEGAL = "(External) CUDA error(700), an illegal memory access was encountered."
BROKEN_STATUS = 70

# The worker as it is, but for what it loads: a predictor that raises what the test says, when the test says.
SERVE = """
import sys
from model_store.runtime import worker
from model_store.engines.faults import as_error
from model_store.errors import LoadFailed, PredictFailed
sock, arena, when, kind, text = sys.argv[1:]
raised = {"memory": MemoryError, "os": OSError, "value": ValueError}[kind](text)
class Failing:
    def warm_up(self):
        if when == "load":
            raise as_error(raised, LoadFailed, "It cannot be loaded") from raised
    def rehearse(self):
        if when == "rehearsal":
            raise as_error(raised, LoadFailed, "It cannot be loaded") from raised
    def predict(self, batch, options):
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

    def ask(self, message: Load | Infer) -> FromWorker | None:
        """What it answers, None when it ended instead."""
        self._ours.sendall(frame(message))
        while body := blocking.receive(self._ours):
            answer: FromWorker = from_worker.decode(body)
            if not isinstance(answer, Heartbeat):
                return answer
        return None

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


@pytest.mark.parametrize("when", ["load", "rehearsal"])
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

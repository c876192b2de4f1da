"""One process, one predictor.

Three threads share the process: the main one computes; one reads the socket, so that a cancel or the end of the
gateway is seen while a batch computes; one sends heartbeats. When the gateway's side of the socket closes, for
whatever reason, the process ends at once: nobody is left to want its answers. It also ends when its device has failed
it for good (`engines.faults.DeviceFault`): dispatch then tries its batch again on another worker.
"""

import mmap
import os
import queue
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import numpy as np
import structlog

from model_store.engines.faults import DeviceFault, as_error
from model_store.engines.heap import Trimmer
from model_store.errors import InternalError, LoadFailed, PredictFailed, VoxgateError
from model_store.predictors.load import load
from model_store.predictors.predictor import Predictor
from model_store.runtime import blocking
from model_store.runtime.memory import HighWater
from model_store.runtime.messages import (
    BYTES_PER_SAMPLE,
    Cancel,
    Drain,
    Failure,
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
    to_worker,
)

log = structlog.get_logger()

_LOADING_HEARTBEAT_S = 0.1
# So long nobody must have asked before a step of the warm-up: whoever asks during it waits for its end.
_IDLE_S = 0.3
_DONE = object()
_BROKEN_STATUS = 70  # EX_SOFTWARE of sysexits.h


class Worker:
    """The worker's side of one socket and one arena; `run` returns when it was drained."""

    def __init__(self, sock: socket.socket, arena: mmap.mmap, heartbeat_s: float) -> None:
        self._sock = sock
        self._arena = arena
        self._heartbeat_s = heartbeat_s
        self._inbox: queue.SimpleQueue[ToWorker] = queue.SimpleQueue()
        self._cancelled: set[int] = set()
        self._sending = threading.Lock()
        self._measuring = threading.Lock()
        self._drained = threading.Event()
        self._busy_since: float | None = None
        self._memory = HighWater()
        self._peak_bytes = 0
        self._run_bytes = 0
        self._predictor: Predictor | None = None
        self._warming: Iterator[None] = iter(())
        self._trimmer = Trimmer()
        self._is_warm = False
        self._is_warming = False

    def run(self) -> None:
        """Serve until drained."""
        for target in (self._read, self._beat):
            threading.Thread(target=target, daemon=True, name=target.__name__).start()
        while not self._drained.is_set():
            message = self._next()
            self._busy_since = time.monotonic()
            if message is not None:
                self._handle(message)
            else:
                self._warm_further()
            self._busy_since = None

    def _next(self) -> ToWorker | None:
        """What is to be done; None when nobody has asked for a while, and it is not warm."""
        try:
            return self._inbox.get(timeout=None if self._is_warm or self._predictor is None else _IDLE_S)
        except queue.Empty:
            return None

    def _handle(self, message: ToWorker) -> None:
        match message:
            case Load():
                self._load(message)
            case Infer():
                self._infer(message.items)
            case Drain():
                self._drained.set()

    def _load(self, message: Load) -> None:
        began_s = time.perf_counter()
        try:
            self._predictor = load(
                Path(message.version_dir),
                Path(message.graph_dir),
                precision=message.precision,
                threads=message.threads,
                device=message.device,
                engine=message.engine,
            )
            loaded_s = time.perf_counter()
            self._send_heartbeat()
            self._run_bytes = 0  # what the making took is told, and no run takes it again
            self._warming = self._predictor.warm_up()
            if not message.is_urgent:
                for _ in self._warming:
                    pass
                self._is_warm = True
                self._send_heartbeat()
        except DeviceFault:
            raise
        except Exception as exc:
            error = _meant(exc, LoadFailed, "The predictor cannot be made")
            self._send(LoadRefused(Failure.of(error)))
            self._drained.set()
            return
        stages_s = {"create": loaded_s - began_s, "warm_up": time.perf_counter() - loaded_s}
        self._send(Loaded(stages_s, self._run_bytes))

    def _warm_further(self) -> None:
        """A step of the warm-up, between requests; they are answered whether it can be done or not."""
        self._is_warming = True
        try:
            self._is_warm = next(self._warming, _DONE) is _DONE
        except DeviceFault:
            raise
        except Exception as exc:  # it is over with that
            log.warning("worker.not_warmed_up", error=str(exc), kind=type(exc).__name__)
        self._is_warming = False
        self._send_heartbeat()

    def _infer(self, items: tuple[Item, ...]) -> None:
        wanted = [item for item in items if item.id not in self._cancelled and not _is_late(item)]
        if skipped := [Result(item.id) for item in items if item not in wanted]:
            self._send(*skipped)
        if wanted:
            self._answer(wanted)
            self._trimmer.has_run()
        self._cancelled.difference_update(item.id for item in items)

    def _answer(self, items: list[Item]) -> None:
        try:
            if self._predictor is None:
                raise PredictFailed("The worker was asked before its predictor was loaded.")
            prediction = self._predictor.predict([self._pcm(item) for item in items], [item.options for item in items])
        except DeviceFault:  # nothing that this process says of its device counts any more; others try the batch again
            raise
        except Exception as exc:
            error = _meant(exc, PredictFailed, "The predictor failed")
            self._send(*(Result(item.id, failure=Failure.of(error)) for item in items))
            return
        answered = zip(items, prediction.outcomes, strict=True)
        self._send(*(Result(item.id, outcome, stages_s=prediction.stages_s) for item, outcome in answered))
        # It may be ended before its next heartbeat. But after the answers: a look at a large process takes 20 ms.
        if self._memory.has_risen():
            self._send_heartbeat()

    def _pcm(self, item: Item) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        # A copy: the gateway may write the next batch into the arena while a view of this one is still about.
        return np.frombuffer(self._arena, np.float32, item.n_samples, item.offset * BYTES_PER_SAMPLE).copy()

    def _read(self) -> None:
        while (body := blocking.receive(self._sock)) is not None:
            message = to_worker.decode(body)
            if isinstance(message, Cancel):
                self._cancelled.update(message.items)
            elif isinstance(message, Drain) and self._is_warming and self._inbox.empty():
                os._exit(0)  # nobody waits for the end of that step
            else:
                self._inbox.put(message)
        os._exit(0)

    def _beat(self) -> None:
        # Often while it loads and warms up: its memory peaks there, and may have to be stopped at a limit.
        often_s = min(_LOADING_HEARTBEAT_S, self._heartbeat_s)
        while not self._drained.wait(self._heartbeat_s if self._is_warm else often_s):
            if self._is_warm:  # what its warm-up has taken stays with it
                self._trimmer.look()
            self._send_heartbeat()

    def _send_heartbeat(self) -> None:
        with self._measuring:  # two threads send them, and the later one must tell the later figures
            now = self._memory.of_late()
            self._peak_bytes = max(self._peak_bytes, now.private_bytes)
            self._run_bytes = max(self._run_bytes, now.private_bytes)
            since = self._busy_since
            busy_s = time.monotonic() - since if since is not None else 0.0
            self._send(Heartbeat(now.private_bytes, self._peak_bytes, now.mapped_bytes, busy_s, self._is_warm))

    def _send(self, *messages: FromWorker) -> None:
        """At once, so that the gateway wakes once for a batch."""
        with self._sending:
            try:
                self._sock.sendall(b"".join(map(frame, messages)))
            except OSError:
                os._exit(0)


def _meant(exc: Exception, kind: type[InternalError], told: str) -> VoxgateError:
    return exc if isinstance(exc, VoxgateError) else as_error(exc, kind, told)


def _is_late(item: Item) -> bool:
    return item.deadline_s is not None and time.monotonic() > item.deadline_s


def serve(sock_fd: int, arena_fd: int, heartbeat_s: float) -> NoReturn:
    """Be a worker on these descriptors until drained, then end the process without running the parent's exit hooks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the gateway's to answer
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    arena = mmap.mmap(arena_fd, 0)
    os.close(arena_fd)
    worker = Worker(socket.socket(fileno=sock_fd), arena, heartbeat_s)
    try:
        worker.run()
    except BaseException as exc:  # it would go on as a second fork server
        # Without its traceback, whose variables may hold audio.
        log.error("worker.broke", error=str(exc), kind=type(exc).__name__)  # noqa: TRY400
        os._exit(_BROKEN_STATUS)
    os._exit(0)

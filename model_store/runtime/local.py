"""Workers as processes of this machine: the gateway's side of socket, arena and process."""

import asyncio
import contextlib
import itertools
import mmap
import os
import signal
import socket
import time
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import structlog

from model_store.errors import LoadFailed, PredictFailed
from model_store.runtime.messages import (
    BYTES_PER_SAMPLE,
    HEADER,
    Cancel,
    Drain,
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
from model_store.runtime.seam import Utterance, Worker, WorkerDied
from model_store.runtime.settings import RuntimeSettings
from model_store.runtime.spawners import Spawner, make_spawner

log = structlog.get_logger()

# Pages of libraries that a worker runs and the fork server does not, until a worker has told: Paddle 3.1 on x86-64.
_LIBRARIES_BYTES = 64 << 20
T = TypeVar("T")
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Batch:
    """The answers to one batch; late ones to an earlier batch are nobody's."""

    def __init__(self, ids: tuple[int, ...]) -> None:
        self.ids = ids
        self.answer: asyncio.Future[list[Result]] = asyncio.get_running_loop().create_future()
        self._results: dict[int, Result] = {}

    def add(self, result: Result) -> None:
        """Take one answer; with the last one the batch is done."""
        if result.id in self.ids:
            self._results[result.id] = result
        if len(self._results) == len(self.ids) and not self.answer.done():
            self.answer.set_result([self._results[item] for item in self.ids])


class LocalWorker:
    """A worker process; see `seam.Worker`. One batch is in flight at a time: the arena belongs to it."""

    def __init__(self, pid: int, streams: Streams, arena: mmap.mmap, settings: RuntimeSettings) -> None:
        self.pid = pid
        self.exited: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.peak_private_bytes = 0
        self.most_run_bytes = 0
        self.mapped_bytes = 0
        self.is_warm = False
        self._private_bytes = 0
        self._reader, self._writer = streams
        self._arena = arena
        self._settings = settings
        self._ids = itertools.count()
        self._batch = _Batch(())
        self._loaded: asyncio.Future[Loaded | LoadRefused] = asyncio.get_running_loop().create_future()
        self._heard_s = time.monotonic()
        self._reading = asyncio.create_task(self._read(), name=f"worker-{pid}-reader")
        self._watch_process()

    async def load(self, command: Load) -> Loaded:
        """See `seam.Worker.load`."""
        self._send(command)
        answer = await self._within(self._settings.load_timeout_s, self._loaded)
        if isinstance(answer, LoadRefused):
            raise answer.failure.error()
        return answer

    async def infer(self, batch: Sequence[Utterance]) -> list[Result]:
        """See `seam.Worker.infer`."""
        if self.exited.done():  # its arena is closed; a lease may have been granted before its end was handled
            raise WorkerDied(self.exited.result())
        items = self._lay_out(batch)
        self._batch = _Batch(tuple(item.id for item in items))
        self._send(Infer(tuple(items)))
        try:
            return await self._within(self._settings.infer_timeout_s, self._batch.answer)
        except asyncio.CancelledError:
            self._send(Cancel(self._batch.ids))
            raise

    def skip(self, number: int) -> None:
        """See `seam.Worker.skip`."""
        self._send(Cancel((self._batch.ids[number],)))

    async def stop(self, grace_s: float) -> None:
        """See `seam.Worker.stop`."""
        self._send(Drain())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self.exited), grace_s)
        self.kill()
        await self.exited

    def kill(self) -> None:
        """See `seam.Worker.kill`."""
        if not self.exited.done():
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def private_bytes(self) -> int:
        """See `seam.Worker.private_bytes`."""
        return 0 if self.exited.done() else self._private_bytes

    @property
    def silent_s(self) -> float:
        """Seconds since the worker was last heard."""
        return time.monotonic() - self._heard_s

    def _lay_out(self, batch: Sequence[Utterance]) -> list[Item]:
        """Write the batch's PCM into the arena, one utterance behind the other."""
        items, offset = [], 0
        for utterance in batch:
            end = offset + len(utterance.pcm)
            if end * BYTES_PER_SAMPLE > len(self._arena):
                told = f"A batch of more than {len(self._arena)} bytes of PCM does not fit the arena."
                raise PredictFailed(f"{told} Raise `runtime.arena_bytes`.")
            self._arena[offset * BYTES_PER_SAMPLE : end * BYTES_PER_SAMPLE] = np.ascontiguousarray(utterance.pcm).data
            items.append(Item(next(self._ids), offset, len(utterance.pcm), utterance.options, utterance.deadline_s))
            offset = end
        return items

    async def _within(self, timeout_s: float, answer: asyncio.Future[T]) -> T:
        """The answer, unless the process ends first, or takes so long that it is ended here."""
        either: set[asyncio.Future[Any]] = {answer, self.exited}
        done, _ = await asyncio.wait(either, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if answer in done:
            return answer.result()
        answer.cancel()
        if not done:
            log.warning("worker.hung", pid=self.pid, timeout_s=timeout_s)
            self.kill()
            await asyncio.shield(self.exited)
            raise WorkerDied(f"it did not answer within {timeout_s:g} s")
        raise WorkerDied(self.exited.result())

    def _send(self, message: ToWorker) -> None:
        if not self._writer.is_closing():  # a closed one is told by `exited`
            self._writer.write(frame(message))

    async def _read(self) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):  # `exited` tells when it has ended
            while True:
                (size,) = HEADER.unpack(await self._reader.readexactly(HEADER.size))
                self._receive(await self._reader.readexactly(size))

    def _receive(self, body: bytes) -> None:
        self._heard_s = time.monotonic()
        message = from_worker.decode(body)
        match message:
            case Heartbeat():
                self._private_bytes = message.private_bytes
                self.peak_private_bytes = max(self.peak_private_bytes, message.peak_private_bytes)
                if self._loaded.done():
                    self.most_run_bytes = max(self.most_run_bytes, message.private_bytes)
                self.mapped_bytes = message.mapped_bytes
                self.is_warm = message.is_warm
            case Result():
                self._batch.add(message)
            case Loaded() | LoadRefused():
                if not self._loaded.done():
                    self._loaded.set_result(message)

    def _watch_process(self) -> None:
        """A pidfd becomes readable the moment the kernel has ended the process, whoever its parent is by then."""
        self._pidfd = os.pidfd_open(self.pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._on_exit)

    def _on_exit(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._reading.cancel()
        self._writer.close()
        self._arena.close()
        self.exited.set_result("its process ended")


class LocalRuntime:
    """Workers from a fork server, or from spares; see `seam.Runtime`. Watches that they stay responsive."""

    def __init__(self, settings: RuntimeSettings) -> None:
        self._settings = settings
        self._spawner: Spawner = make_spawner(settings)
        self._workers: set[LocalWorker] = set()
        self._libraries_bytes = _LIBRARIES_BYTES
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """See `seam.Runtime.start`."""
        await self._spawner.start()
        self._watch = asyncio.create_task(self._watch_heartbeats(), name="heartbeats")

    async def spawn(self) -> Worker:
        """See `seam.Runtime.spawn`."""
        ours, theirs = socket.socketpair()
        arena_fd = os.memfd_create("voxgate-arena")
        try:
            os.ftruncate(arena_fd, self._settings.arena_bytes)
            pid = await self._spawner.spawn(theirs.fileno(), arena_fd)
            streams = await asyncio.open_unix_connection(sock=ours)
            worker = LocalWorker(pid, streams, mmap.mmap(arena_fd, 0), self._settings)
        except (OSError, ConnectionError) as exc:
            ours.close()
            raise LoadFailed(f"No worker could be started: {exc}.") from exc
        except BaseException:
            ours.close()  # a worker that was forked all the same sees this, and ends
            raise
        finally:
            theirs.close()
            os.close(arena_fd)
        self._workers.add(worker)
        worker.exited.add_done_callback(lambda _: self._workers.discard(worker))
        return worker

    def shared_bytes(self) -> int:
        """See `seam.Runtime.shared_bytes`.

        The fork server, and what the worker with the most of it maps from files. The fork server may have some of those
        files' pages too, so this is somewhat too much, and never too little.
        """
        self._libraries_bytes = max([self._libraries_bytes, *(worker.mapped_bytes for worker in self._workers)])
        return self._spawner.shared_bytes() + self._libraries_bytes

    async def stop(self) -> None:
        """See `seam.Runtime.stop`."""
        if self._watch:
            self._watch.cancel()
        workers = list(self._workers)
        for worker in workers:
            worker.kill()
        await asyncio.gather(*(worker.exited for worker in workers))
        await self._spawner.stop()

    async def _watch_heartbeats(self) -> None:
        while True:
            await asyncio.sleep(self._settings.heartbeat_s)
            for worker in self._workers:
                if worker.silent_s > self._settings.heartbeat_timeout_s:
                    log.warning("worker.silent", pid=worker.pid, silent_s=round(worker.silent_s, 1))
                    worker.kill()

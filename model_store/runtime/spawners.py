"""How a worker process comes to be: forked from a server that has imported paddle, or a spare that waits for work."""

import asyncio
import contextlib
import itertools
import os
import socket
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from typing import Protocol

import psutil
import structlog

from model_store.runtime.messages import Exited, Ready, Spawn, Spawned, encode, from_fork_server
from model_store.runtime.settings import RuntimeSettings

log = structlog.get_logger()

FORK_SERVER = "model_store.runtime.fork_server"  # the module that workers are forked from
_PACKET_BYTES = 4096
_READY_TIMEOUT_S = 120.0


def make_spawner(settings: RuntimeSettings) -> "Spawner":
    """The spawner that the settings name; auto forks unless a GPU build of paddle is installed.

    Importing a GPU build may initialise CUDA, after which a fork is unusable.
    """
    start = settings.start
    if start == "auto":
        start = "spawn" if _is_gpu_build() else "fork"
    return SpareSpawner(settings) if start == "spawn" else ForkSpawner(settings)


def _is_gpu_build() -> bool:
    try:
        distribution("paddlepaddle-gpu")
    except PackageNotFoundError:
        return False
    return True


def _environment() -> dict[str, str]:
    """Fewer malloc arenas give more memory back; what Paddle prints on import is not ours to print."""
    ours = {
        "MALLOC_ARENA_MAX": "2",
        "GLOG_minloglevel": "3",
        "PYTHONWARNINGS": "ignore",
        "FLAGS_gpu_allocator_retry_time": "500",
    }
    return ours | os.environ


class Spawner(Protocol):
    """Turns a socket and an arena into a process that serves them."""

    async def start(self) -> None:
        """Returns when a spawn would be quick."""

    async def spawn(self, sock_fd: int, arena_fd: int) -> int:
        """The process id of a worker on these descriptors, which stay the caller's; raises ConnectionError."""

    def shared_bytes(self) -> int:
        """Host memory that is held however many workers there are."""

    async def stop(self) -> None:
        """End what the spawner itself runs."""


class ForkSpawner:
    """Talks to one fork server, and starts another when it has died; its workers live on without it."""

    def __init__(self, settings: RuntimeSettings) -> None:
        self._settings = settings
        self._ids = itertools.count()
        self._starting = asyncio.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._spawning: dict[int, asyncio.Future[int]] = {}
        self._is_ready = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """See `Spawner.start`."""
        async with self._starting:
            if self._process is None or self._reader is None or self._reader.done():
                self._launch()
            await asyncio.wait_for(self._readiness(), _READY_TIMEOUT_S)

    async def spawn(self, sock_fd: int, arena_fd: int) -> int:
        """See `Spawner.spawn`; tried once more when the fork server dies meanwhile."""
        try:
            return await self._spawn(sock_fd, arena_fd)
        except ConnectionError:
            return await self._spawn(sock_fd, arena_fd)

    def shared_bytes(self) -> int:
        """See `Spawner.shared_bytes`: what the fork server has resident, private or not."""
        if self._process is None:
            return 0
        with contextlib.suppress(psutil.Error):
            return int(psutil.Process(self._process.pid).memory_info().rss)
        return 0

    async def stop(self) -> None:
        """See `Spawner.stop`."""
        if self._reader:
            self._reader.cancel()
        if self._process:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)

    @property
    def pid(self) -> int | None:
        """The fork server's process id."""
        return self._process.pid if self._process else None

    def _launch(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        command = [sys.executable, "-m", FORK_SERVER, str(theirs.fileno()), str(os.getpid())]
        # A session of its own: Ctrl-C in a terminal is the gateway's to answer, which then drains its workers.
        self._process = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], env=_environment(), start_new_session=True, stdin=subprocess.DEVNULL
        )
        theirs.close()
        self._control = ours
        self._is_ready.clear()
        self._reader = asyncio.create_task(self._read(ours), name="fork-server-reader")

    async def _readiness(self) -> None:
        reader = self._reader
        assert reader is not None  # noqa: S101  (set by _launch)
        ready = asyncio.create_task(self._is_ready.wait())
        try:
            await asyncio.wait({ready, reader}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        if reader.done():
            raise ConnectionError("the fork server ended before it was ready; `voxgate doctor` shows what is missing")

    async def _spawn(self, sock_fd: int, arena_fd: int) -> int:
        await self.start()
        spawn_id = next(self._ids)
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._spawning[spawn_id] = answer
        try:
            packet = encode(Spawn(spawn_id, self._settings.heartbeat_s))
            socket.send_fds(self._control, [packet], [sock_fd, arena_fd])
            return await answer
        except ConnectionError as exc:
            if self._reader:  # the next start sees the death as soon as the reader has
                await asyncio.wait({self._reader})
            raise ConnectionError("the fork server has died") from exc
        finally:
            self._spawning.pop(spawn_id, None)

    async def _read(self, control: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with control:
            while packet := await self._packet(loop, control):
                match from_fork_server.decode(packet):
                    case Ready():
                        self._is_ready.set()
                    case Spawned(id=spawn_id, pid=pid):
                        if (answer := self._spawning.get(spawn_id)) and not answer.done():
                            answer.set_result(pid)
                    case Exited(pid=pid, status=status):
                        log.info("worker.exited", pid=pid, status=status)
        for answer in self._spawning.values():
            if not answer.done():
                answer.set_exception(ConnectionError("the fork server has died"))

    @staticmethod
    async def _packet(loop: asyncio.AbstractEventLoop, control: socket.socket) -> bytes:
        try:
            return await loop.sock_recv(control, _PACKET_BYTES)
        except ConnectionError:
            return b""


class SpareSpawner:
    """Starts a fresh interpreter per worker, one ahead of need: it has imported paddle when it is wanted.

    The spare waits on descriptors of its own; wanted ones are handed over through it. For GPU builds, where a fork
    after the import is unsafe; run on CPU by the contract tests, and not yet on a GPU.
    """

    def __init__(self, settings: RuntimeSettings) -> None:
        self._settings = settings
        self._spares: list[tuple[subprocess.Popen[bytes], socket.socket]] = []
        self._taken: set[subprocess.Popen[bytes]] = set()

    async def start(self) -> None:
        """See `Spawner.start`; the spare is ready when it has said so."""
        if not self._spares:
            self._launch()

    async def spawn(self, sock_fd: int, arena_fd: int) -> int:
        """See `Spawner.spawn`."""
        await self.start()
        process, control = self._spares.pop()
        with control:
            socket.send_fds(control, [encode(Spawn(0, self._settings.heartbeat_s))], [sock_fd, arena_fd])
        self._taken = {taken for taken in self._taken if taken.poll() is None} | {process}
        self._launch()
        return process.pid

    def shared_bytes(self) -> int:
        """See `Spawner.shared_bytes`: the spare."""
        with contextlib.suppress(psutil.Error, IndexError):
            return int(psutil.Process(self._spares[0][0].pid).memory_info().rss)
        return 0

    async def stop(self) -> None:
        """See `Spawner.stop`."""
        for process, control in self._spares:
            control.close()
            process.kill()
        ended = [process for process, _ in self._spares] + list(self._taken)
        await asyncio.gather(*(asyncio.to_thread(process.wait) for process in ended))
        self._spares.clear()

    def _launch(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", "model_store.runtime.spare", str(theirs.fileno()), str(os.getpid())]
        process = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], env=_environment(), start_new_session=True, stdin=subprocess.DEVNULL
        )
        theirs.close()
        self._spares.append((process, ours))

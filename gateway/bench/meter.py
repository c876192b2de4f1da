"""What a run takes of the machine: the generator's own CPU time, and memory and CPU time of the server's processes."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Final

import psutil
from msgspec import Struct

from gateway.bench.outcomes import Window
from model_store.errors import OptionInvalid

# Asking the kernel what six processes of a gateway hold took 50 ms of a core.
_LOOK_EVERY_S: Final = 5.0


class ServerUse(Struct, frozen=True, kw_only=True):
    """What the process that was named and all that it started took. Memory is proportional: shared pages count once.

    (Resident, where the processes are another user's, whose proportions the kernel does not tell.)
    """

    pid: int
    processes: int
    memory_bytes: int
    peak_memory_bytes: int
    cpu_s: float


class Server:
    """The tree of processes below a server's."""

    def __init__(self, pid: int) -> None:
        try:
            self._root = psutil.Process(pid)
        except psutil.NoSuchProcess as exc:
            raise OptionInvalid(f"There is no process {pid} on this machine.", param="pid") from exc
        self._processes: list[psutil.Process] = []
        self._memory: list[int] = []
        self._cpu_s: dict[int, float] = {}
        self._at_start_s: dict[int, float] = {}
        self._at_end_s: dict[int, float] = {}

    def look(self) -> None:
        """See which processes there are and what they hold; takes milliseconds, so not for the event loop."""
        try:
            found = [self._root, *self._root.children(recursive=True)]
        except psutil.NoSuchProcess:
            found = []
        self._processes = found
        self._count()
        self._memory.append(sum(_bytes(process) for process in found))

    def begin(self) -> None:
        """What was before does not count. Processes that come later count with all that they took."""
        self._count()
        self._at_start_s = dict(self._cpu_s)
        self._memory = self._memory[-1:]

    def end(self) -> None:
        """What comes after does not count."""
        self._count()
        self._at_end_s = dict(self._cpu_s)

    def use(self) -> ServerUse:
        """Of the time between the two."""
        return ServerUse(
            pid=self._root.pid,
            processes=len(self._processes),
            memory_bytes=self._memory[-1],
            peak_memory_bytes=max(self._memory),
            cpu_s=sum(end_s - self._at_start_s.get(pid, 0.0) for pid, end_s in self._at_end_s.items()),
        )

    def _count(self) -> None:
        for process in self._processes:
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                self._cpu_s[process.pid] = times.user + times.system


def _bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.AccessDenied:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


class Meter:
    """Told when a run begins and ends to count; what it then says is of that part alone."""

    def __init__(self, server: Server | None) -> None:
        self._server = server
        self._start_s: float | None = None
        self._end_s: float | None = None
        self._cpu_s = 0.0

    def begin(self, at_s: float) -> None:
        """It counts from now on."""
        self._start_s = at_s
        self._cpu_s = -time.process_time()
        if self._server:
            self._server.begin()

    def end(self, at_s: float) -> None:
        """It counts no more; said again, that changes nothing."""
        if self._start_s is None or self._end_s is not None:
            return
        self._end_s = at_s
        self._cpu_s += time.process_time()
        if self._server:
            self._server.end()

    @property
    def window(self) -> Window:
        """Empty where nothing counted."""
        if self._start_s is None or self._end_s is None:
            return Window(0.0, 0.0)
        return Window(self._start_s, self._end_s)

    @property
    def cpu_s(self) -> float:
        """Seconds that this process computed."""
        return max(self._cpu_s, 0.0)

    def server_use(self) -> ServerUse | None:
        """Of the server, where it is known which it is."""
        return self._server.use() if self._server and self._end_s is not None else None

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Looks at the server now and then, and before and after."""
        if self._server is None:
            yield
            return
        await asyncio.to_thread(self._server.look)
        watch = asyncio.create_task(_watch(self._server))
        try:
            yield
        finally:
            watch.cancel()
            await asyncio.wait([watch])
            await asyncio.to_thread(self._server.look)


async def _watch(server: Server) -> None:
    while True:
        await asyncio.sleep(_LOOK_EVERY_S)
        await asyncio.to_thread(server.look)

"""The servers that are driven, each in processes of its own."""

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import psutil

from tests.integration.live import Gateway


class Driven(NamedTuple):
    """A server that is ready; `processes` by what they are to it."""

    url: str
    processes: Mapping[str, Sequence[psutil.Process]]


class Echo(Gateway):
    """`voxgate serve` with workers that answer at once."""

    voxgate = (sys.executable, "-m", "tests.bench.overhead.serve")

    def driven(self) -> Driven:
        """Once it has answered a request, it has a worker."""
        server = psutil.Process(self.pid)
        workers = [worker for below in server.children() for worker in below.children()]
        return Driven(self.url, {"server": [server], "workers": workers})


@contextlib.contextmanager
def bare() -> Iterator[Driven]:
    """The handler of `bare`."""
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listening:
        # As the gateway's own socket has it.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        descriptor, port = listening.fileno(), listening.getsockname()[1]
        command = [sys.executable, "-m", "tests.bench.overhead.bare", str(descriptor)]
        process = subprocess.Popen(command, pass_fds=[descriptor], stdin=subprocess.DEVNULL)
    try:
        yield Driven(f"http://127.0.0.1:{port}", {"server": [psutil.Process(process.pid)]})
    finally:
        process.terminate()
        process.wait()

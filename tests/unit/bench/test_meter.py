"""What the generator and the server's processes took."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from gateway.bench.meter import Meter, Server
from model_store.errors import OptionInvalid

# A parent that holds 50 MB and computes, and its child that does the same; each says when it has, in one piece.
_WORK = "import os; held = bytearray(50_000_000); sum(range(3_000_000)); os.write(1, b'ready\\n'); input()"
_PARENT = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {_WORK!r}]); {_WORK}"


@pytest.fixture
def tree() -> Iterator[subprocess.Popen[str]]:
    """A process and its child, both at rest."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", _PARENT], text=True, **pipes) as process:  # type: ignore[call-overload]
        assert [process.stdout.readline() for _ in range(2)] == ["ready\n"] * 2
        children = psutil.Process(process.pid).children()
        yield process
        for one in (*children, process):
            one.kill()


async def test_server_use_is_of_the_whole_tree(tree: subprocess.Popen[str]) -> None:
    meter = Meter(Server(tree.pid))
    async with meter.watching():
        meter.begin(1.0)
        meter.end(3.0)
    use = meter.server_use()
    assert use is not None
    assert (use.pid, use.processes) == (tree.pid, 2)
    assert 100_000_000 < use.memory_bytes <= use.peak_memory_bytes < 250_000_000
    assert use.cpu_s < 0.1  # what they computed before does not count


async def test_server_use_of_a_server_that_died_is_what_it_had(tree: subprocess.Popen[str]) -> None:
    meter = Meter(Server(tree.pid))
    async with meter.watching():
        meter.begin(1.0)
        for child in psutil.Process(tree.pid).children():
            child.kill()
        tree.kill()
        await asyncio.to_thread(tree.wait)
        meter.end(2.0)
    use = meter.server_use()
    assert use is not None
    assert (use.processes, use.memory_bytes) == (0, 0)
    assert use.peak_memory_bytes > 100_000_000


def test_server_of_no_process_is_refused() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    with pytest.raises(OptionInvalid, match=str(gone.pid)):
        Server(gone.pid)


def test_meter_counts_from_begin_to_the_first_end() -> None:
    meter = Meter(None)
    meter.begin(10.0)
    spent_s = time.process_time() + 0.05
    while time.process_time() < spent_s:
        pass
    meter.end(12.0)
    meter.end(99.0)
    assert 0.05 <= meter.cpu_s < 1.0
    assert (meter.window.start_s, meter.window.end_s) == (10.0, 12.0)


def test_meter_that_never_began_has_an_empty_window() -> None:
    meter = Meter(None)
    meter.end(12.0)
    assert (meter.window.start_s, meter.window.end_s, meter.cpu_s) == (0.0, 0.0, 0.0)

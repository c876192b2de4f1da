"""The bound: what the machine does of the same work where nothing is around it, asked from outside its process."""

import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence

import msgspec

from tests.bench.machine import PAUSE_S
from tests.bench.side.bare import MARK, Turn
from tests.bench.side.material import Material, python_path
from tests.bench.side.ways import Way

Ask = Callable[[int, float], Turn]


class Bound(msgspec.Struct, frozen=True):
    """The turns of one way, of batches of every size that was tried."""

    turns: list[Turn]

    @property
    def sizes(self) -> list[int]:
        """Of batches, the smallest first."""
        return sorted({turn.batch for turn in self.turns})

    def run_ms(self, batch: int) -> float:
        """The median of the runs of so many clips."""
        return statistics.median(ms for turn in self.turns if turn.batch == batch for ms in turn.runs_ms)

    def clips_per_s(self, batch: int) -> float:
        """At that median."""
        return 1000 * batch / self.run_ms(batch)

    @property
    def best_batch(self) -> int:
        """The one that gets the most done."""
        return max(self.sizes, key=self.clips_per_s)

    @property
    def characters(self) -> float:
        """Of a text, in the mean."""
        return statistics.mean(turn.characters for turn in self.turns)


@contextlib.contextmanager
def bound_process(material: Material, way: Way) -> Iterator[Ask]:
    """A process that has loaded the checkpoint and takes turns: so many clips in a batch, so many seconds."""
    store = material.store
    places = store.version_dir(material.version), store.graph_dir(material.version, way.engine), material.clips
    command = [sys.executable, "-W", "ignore", "-m", "tests.bench.side.bare", *map(str, places), *way]
    environ = os.environ | python_path()
    with subprocess.Popen(command, env=environ, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield lambda batch, seconds: _turn(process, batch, seconds)


def sweep(ask: Ask, batches: Sequence[int], seconds: float) -> list[Turn]:
    """A turn of each size."""
    return [ask(batch, seconds) for batch in batches]


def _turn(process: subprocess.Popen[str], batch: int, seconds: float) -> Turn:
    assert process.stdin
    assert process.stdout
    time.sleep(PAUSE_S)  # idle threads of others spin for a while
    process.stdin.write(f"{batch} {seconds}\n")
    process.stdin.flush()
    for line in process.stdout:
        if line.startswith(MARK):
            return msgspec.json.decode(line.removeprefix(MARK), type=Turn)
    raise ChildProcessError(f"The bare script ended: {process.args!r}")

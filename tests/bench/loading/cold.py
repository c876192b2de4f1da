"""Bar 9: the first answer of a version that has to be loaded for it, over HTTP, and a bare script's, in turns."""

import contextlib
import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
import psutil

from model_store.artifacts.files import verify
from model_store.artifacts.graphs import find_record
from tests.bench.loading.bare import first_clip, plain
from tests.bench.loading.plain import Made
from tests.bench.machine import PAUSE_S
from tests.bench.markdown import markdown_table
from tests.bench.side.material import MODEL, Material
from tests.bench.side.servers import Server, voxgate
from tests.bench.side.verdicts import holds
from tests.bench.side.ways import Way
from tests.integration.live import TRANSCRIPTIONS, until

BEST_S: Final = 1.0
TIMES: Final = 1.2
_EVICTED: Final = {"VOXGATE_RESIDENCY_KEEP_ALIVE_S": "0"}


class First(NamedTuple):
    """Seconds of a first answer: as its client saw it, and of what it is made.

    `start_s` is from the request until the worker begins to load: the decision, and the fork. `create_s` includes the
    check of the files' digests, which goes on beside it; in `measure_s` the worker looks at its memory, to tell of it.
    """

    wall_s: float
    start_s: float
    create_s: float
    measure_s: float
    run_s: float

    @property
    def rest_s(self) -> float:
        """What is left: HTTP, decoding, and the ways between the processes."""
        return self.wall_s - self.start_s - self.create_s - self.measure_s - self.run_s


class Cold(NamedTuple):
    """All first answers of one way; `bare` are those of plain scripts between them, `verify_s` the check by itself."""

    way: Way
    firsts: list[First]
    bare: list[Made]
    verify_s: float

    @property
    def wall_s(self) -> float:
        """Of the first answers, the median."""
        return statistics.median(first.wall_s for first in self.firsts)

    @property
    def bare_s(self) -> float:
        """Creation and first run of the plain scripts, the median of their sums."""
        return statistics.median(made.create_s + made.first_run_s for made in self.bare)


class _Gateway(NamedTuple):
    """One that gives a version up as soon as nobody asks for it; `folder` has its log."""

    server: Server
    folder: Path

    def first(self, audio: bytes) -> First:
        """Once nothing is loaded."""
        until(self._is_empty, "the eviction")
        time.sleep(PAUSE_S)
        known = len(self._loads())
        began_s = time.perf_counter()
        form = {"model": MODEL}
        with httpx.Client(base_url=self.server.url, timeout=60.0) as client:
            answer = client.post(TRANSCRIPTIONS, files={"file": ("a.wav", audio)}, data=form).raise_for_status()
        wall_s = time.perf_counter() - began_s
        told = answer.json()["voxgate"]
        assert told["is_cold"]
        (load,) = until(lambda: self._loads()[known:], "the load in the log")
        return _first(wall_s, told["stages_ms"], load)

    def _is_empty(self) -> bool:
        gateway = psutil.Process(self.server.pid)
        return not [worker for server in gateway.children() for worker in server.children()]

    def _loads(self) -> list[dict[str, Any]]:
        (log,) = self.folder.glob("*.log")
        lines = (json.loads(line) for line in log.read_text().splitlines() if line.endswith("}"))
        return [line for line in lines if line["event"] == "residency.loaded"]


def _first(wall_s: float, stages_ms: dict[str, float], load: dict[str, Any]) -> First:
    run_ms = sum(stages_ms.get(stage, 0.0) for stage in ("features", "encoder", "search", "rescoring"))
    create_s, measure_s = load["create"], load["warm_up"]  # which is nothing else where somebody waits
    return First(wall_s, stages_ms["load"] / 1000 - create_s - measure_s, create_s, measure_s, run_ms / 1000)


def measured(material: Material, ways: Sequence[Way], folder: Path, rounds: int) -> list[Cold]:
    """Rounds in which each way has a turn, and the script that is as Paddle's."""
    audio = first_clip(material).read_bytes()
    colds = [Cold(way, [], [], _verify_s(material, way)) for way in ways]
    with contextlib.ExitStack() as stack:
        gateways = [stack.enter_context(_opened(material, way, folder / way.engine)) for way in ways]
        for number in range(rounds):
            for cold, gateway in zip(colds, gateways, strict=True):
                cold.firsts.append(gateway.first(audio))
                if cold.way.engine == "paddle":
                    with plain(material, cold.way.precision) as (made, _):
                        cold.bare.append(made)
                print(f"{number}: {cold.way.shown}, {cold.firsts[-1].wall_s:.2f} s", file=sys.stderr, flush=True)
    return colds


@contextlib.contextmanager
def _opened(material: Material, way: Way, folder: Path) -> Iterator[_Gateway]:
    folder.mkdir()
    with voxgate(material, way, folder, _EVICTED) as server:
        yield _Gateway(server, folder)


def _verify_s(material: Material, way: Way) -> float:
    """The digests of the graphs, by themselves; afterwards the files are in the page cache, too."""
    graph_dir = material.store.graph_dir(material.version, way.engine)
    began_s = time.perf_counter()
    verify(graph_dir, find_record(graph_dir).files)
    verify(graph_dir, find_record(graph_dir).files)
    return (time.perf_counter() - began_s) / 2


def table(colds: Sequence[Cold]) -> str:
    """Medians in milliseconds, and the worst."""
    heads = [
        "first answer",
        "rounds",
        "median",
        "worst",
        "start",
        "create",
        "measure",
        "first run",
        "rest",
        "digests alone",
    ]
    heads += ["bare: create", "first run", "both"]
    return markdown_table(heads, map(_cells, colds))


def _cells(cold: Cold) -> list[str]:
    parts = [
        statistics.median(getattr(first, name) for first in cold.firsts)
        for name in ("start_s", "create_s", "measure_s", "run_s", "rest_s")
    ]
    worst_s = max(first.wall_s for first in cold.firsts)
    shown = [f"{1000 * s:.0f}" for s in (cold.wall_s, worst_s, *parts, cold.verify_s)]
    bare = ["", "", ""]
    if cold.bare:
        made = [statistics.median(getattr(one, name) for one in cold.bare) for name in ("create_s", "first_run_s")]
        bare = [f"{1000 * s:.0f}" for s in (*made, cold.bare_s)]
    return [f"Voxgate, {cold.way.shown}", str(len(cold.firsts)), *shown, *bare]


def verdicts(colds: Sequence[Cold]) -> list[str]:
    """Whether the bars are met."""
    best = min(colds, key=lambda cold: cold.wall_s)
    told = [
        f"9. {best.way.shown}, the best engine: first answer within {best.wall_s:.2f} s; "
        f"the bar is {BEST_S:g} s: {holds(best.wall_s <= BEST_S)}."
    ]
    for cold in colds:
        if cold.bare:
            times = cold.wall_s / cold.bare_s
            told.append(
                f"9. {cold.way.shown}: {cold.wall_s:.2f} s, {times:.2f} times a bare script's {cold.bare_s:.2f} s; "
                f"the bar is {TIMES:g}: {holds(times <= TIMES)}."
            )
    return told

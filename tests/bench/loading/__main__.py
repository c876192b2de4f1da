"""`python -m tests.bench.loading`: what a version takes that is loaded, and how soon one answers that is not.

Prints a section for RESULTS.md. Of the full-size checkpoint, which PaddleSpeech makes unless it is given; with the
extra `openvino` it measures that engine too.
"""

import argparse
import datetime
import sys
import tempfile
from pathlib import Path

import structlog

from tests.bench.loading import cold, resident
from tests.bench.loading.requests import LONGEST_S, MOST, REQUESTS
from tests.bench.machine import machine
from tests.bench.side.clips import CLIP_S
from tests.bench.side.material import Material, prepared
from tests.bench.side.ways import Way, best_ways

_ROUNDS = 7
_BENCHES = ("memory", "cold")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.loading", description=__doc__)
    parser.add_argument("what", nargs="?", choices=_BENCHES, help="both where nothing is said")
    parser.add_argument("--rounds", type=int, default=_ROUNDS, help="of cold starts")
    parser.add_argument("--requests", type=int, default=REQUESTS, help="before the memory is told")
    parser.add_argument("--engine", action="append", choices=("paddle", "openvino"), help="only that one")
    parser.add_argument("--checkpoint", type=Path, metavar="FOLDER", help="kept there, and taken from there")
    said = parser.parse_args()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    ways = best_ways(said.engine)
    with tempfile.TemporaryDirectory() as folder:
        material = prepared(said.checkpoint or Path(folder) / "checkpoint", Path(folder) / "full")
        print(f"## Loading, {datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}\n")
        print(f"`python -m tests.bench.loading` on {machine()}; files in the page cache.\n", flush=True)
        told = {
            "memory": lambda: memory(material, ways, said.requests),
            "cold": lambda: starts(material, ways, Path(folder), said.rounds),
        }
        for what in [said.what] if said.what else _BENCHES:
            print(told[what](), end="\n\n", flush=True)


def memory(material: Material, ways: list[Way], requests: int) -> str:
    """What is resident."""
    theirs, ours = resident.measured(material, ways, requests)
    told = (
        f"Private bytes in MB, after {requests} requests of 0.5 to {LONGEST_S:g} s in batches of 1 to {MOST}. A worker "
        "has the interpreter and Paddle from its fork server; `less its import's` leaves out what the plain script had "
        "before it made its predictors. Idle: 13 s later."
    )
    lines = "\n".join(f"- {resident.verdict(one, theirs)}" for one in ours)
    return "\n\n".join([resident.table(theirs, ours), told, lines])


def starts(material: Material, ways: list[Way], folder: Path, rounds: int) -> str:
    """What is not."""
    colds = cold.measured(material, ways, folder, rounds)
    told = (
        f"Medians in milliseconds over HTTP, a clip of {CLIP_S:g} s, the gateway up, the version evicted. Start: the "
        "decision and the fork; create: the graphs, beside the check of their digests, which alone takes the time in "
        "its own column; measure: the worker's look at its memory; rest: a second such look, HTTP, and the ways "
        "between the processes. Bare: two plain Paddle predictors in a script, after its imports."
    )
    lines = "\n".join(f"- {line}" for line in cold.verdicts(colds))
    return "\n\n".join([cold.table(colds), told, lines])


if __name__ == "__main__":
    main()

"""`python -m tests.bench.long`: long recordings, how fast they are done, and who waits beside them.

Prints a section for RESULTS.md. With an hour at full size it takes an hour or so; `--minutes` makes the recordings
shorter. Needs PaddleSpeech unless a checkpoint is given; with the extra `openvino` it measures that engine too.
"""

import argparse
import datetime
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from tests.bench.long import command, hour
from tests.bench.long.subjects import NAMES, Subject, subjects
from tests.bench.machine import machine
from tests.bench.side.ways import Way, best_ways

T = TypeVar("T")

_TURN_S = 20.0
_BENCHES = ("hour", "command")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.long", description=__doc__)
    parser.add_argument("what", nargs="?", choices=_BENCHES, help="both where nothing is said")
    parser.add_argument("--minutes", type=float, default=60.0, help="of each recording")
    parser.add_argument("--turn", type=float, default=_TURN_S, metavar="SECONDS", help="of the bound's best batch")
    parser.add_argument("--model", action="append", choices=NAMES, help="only that one")
    parser.add_argument("--engine", action="append", choices=("paddle", "openvino"), help="only that one")
    parser.add_argument("--checkpoint", type=Path, metavar="FOLDER", help="kept there, and taken from there")
    said = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = subjects(said.model or NAMES, said.checkpoint, said.minutes, Path(folder))
        print(f"## Long recordings, {datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}\n")
        print(f"`python -m tests.bench.long`, {said.minutes:g} minutes each, on {machine()}.\n", flush=True)
        cases = [(subject, way) for subject in found for way in best_ways(said.engine)]
        told = {"hour": lambda: hours(cases, Path(folder), said.turn), "command": lambda: commands(cases, Path(folder))}
        for what in [said.what] if said.what else _BENCHES:
            print(told[what](), end="\n\n", flush=True)


def hours(cases: list[tuple[Subject, Way]], folder: Path, turn_s: float) -> str:
    """One recording at a time."""
    taken = [hour.hour(subject, way, room(folder), turn_s) for subject, way in cases]
    told = (
        "Seconds of speech per second, of the recording as its client sees it and of a bare script of two threads with "
        "the same segments, so many at a time. CPU: milliseconds of a core for a second of speech, in the bare script "
        "and in gateway and worker together; beside it the segments of a batch, and the padding in it. Stages in "
        "seconds, as the answer tells. Memory in MB: the gateway and its worker's private bytes, in the middle and in "
        "the last tenth of the run."
    )
    return "\n\n".join([hour.table(taken), told, _lines(taken, hour.verdicts)])


def commands(cases: list[tuple[Subject, Way]], folder: Path) -> str:
    """Who asks for little beside them."""
    taken = [command.commands(subject, way, room(folder)) for subject, way in cases]
    told = "Milliseconds, from the moment at which the recordings are sent; the first fifth is when they come in."
    return "\n\n".join([command.table(taken), told, _lines(taken, lambda one: [command.verdict(one)])])


def room(folder: Path) -> Path:
    """A folder for a gateway."""
    return Path(tempfile.mkdtemp(dir=folder))


def _lines(taken: Sequence[T], verdicts: Callable[[T], list[str]]) -> str:
    return "\n".join(f"- {line}" for one in taken for line in verdicts(one))


if __name__ == "__main__":
    main()

"""`python -m tests.bench.side`: PaddleSpeech's server and Voxgate with one checkpoint, and the bound, in one run.

Prints a section for RESULTS.md, draws tests/bench/side.png. Needs PaddleSpeech; with the extra `openvino` it measures
that engine too.
"""

import argparse
import datetime
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from gateway.bench.picture import check_picture
from tests.bench.machine import machine
from tests.bench.side import report
from tests.bench.side.bound import Bound, bound_process, sweep
from tests.bench.side.clips import CLIP_S
from tests.bench.side.loads import FAST, SLOW, Level, Row, rows
from tests.bench.side.material import QUICKEST, Material, has_paddlespeech, prepared
from tests.bench.side.picture import PICTURE, draw
from tests.bench.side.servers import ONE_BY_ONE, paddlespeech, voxgate
from tests.bench.side.turns import ROUNDS, TURN_S, OneClient, one_client
from tests.bench.side.ways import Way, lacking, ways

_THEIRS = "paddlespeech_server"


class _Setting(NamedTuple):
    """One in which PaddleSpeech's server is measured, with so many clients at most; they take minutes."""

    name: str
    environ: dict[str, str]
    clients: int


_SETTINGS = (
    _Setting(_THEIRS, {}, 64),
    _Setting(f"{_THEIRS}, `MKL_DEBUG_CPU_TYPE=5`", {"MKL_DEBUG_CPU_TYPE": "5"}, 64),
    _Setting(f"{_THEIRS}, that and `OMP_NUM_THREADS={QUICKEST['OMP_NUM_THREADS']}`", QUICKEST, 16),
)
# More than nine clips of 3.0 s are more than one run of the predictor, and take as long as their runs.
_BATCHES = (1, 2, 4, 6, 8, 9)
_SWEEP_S = 2.0
_QUICK_CLIENTS = 16


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.side", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a first try: fewer clients, shorter runs, no picture")
    parser.add_argument("--checkpoint", type=Path, metavar="FOLDER", help="kept there, and taken from there")
    parser.add_argument("--ours", action="store_true", help="leave PaddleSpeech's server out")
    said = parser.parse_args()
    if not said.quick:
        check_picture(PICTURE)
    with tempfile.TemporaryDirectory() as folder:
        material = prepared(said.checkpoint or Path(folder) / "checkpoint", Path(folder) / "data")
        print(f"## Side by side, {datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}\n")
        print(f"`python -m tests.bench.side{' --quick' * said.quick}` on {machine()}.\n", flush=True)
        measured = measure(material, Path(folder), is_quick=said.quick, has_theirs=not said.ours)
    print(told(material, measured))
    if not said.quick:
        draw(PICTURE, measured.rows, measured.bounds)


def measure(material: Material, folder: Path, *, is_quick: bool, has_theirs: bool) -> report.Measured:
    """All contenders, one after another."""
    measured = report.Measured(rows=[], bounds={}, turns={}, theirs=_THEIRS)
    most = _QUICK_CLIENTS if is_quick else max(level.clients for level in FAST)
    for way in ways():
        measured.bounds[way], measured.turns[way], found = _ours(material, way, folder, 2 if is_quick else ROUNDS, most)
        measured.rows.extend(found)
    for setting in _SETTINGS if has_theirs and has_paddlespeech() else ():
        with paddlespeech(material, _room(folder), setting.environ) as server:
            levels = _levels(SLOW, min(most, setting.clients))
            measured.rows.extend(rows(setting.name, server, material, levels))
    return measured


def _room(folder: Path) -> Path:
    return Path(tempfile.mkdtemp(dir=folder))


def _ours(material: Material, way: Way, folder: Path, rounds: int, most: int) -> tuple[Bound, OneClient, list[Row]]:
    """The bound before and after Voxgate; Voxgate that computes one by one is there for the turns alone."""
    with bound_process(material, way) as ask, voxgate(material, way, _room(folder), {}) as server:
        with voxgate(material, way, _room(folder), ONE_BY_ONE) as one_by_one:
            turns = one_client(material, ask, server, one_by_one, rounds)
        swept = sweep(ask, _BATCHES, _SWEEP_S)
        found = rows(report.ours(way), server, material, _levels(FAST, most))
        swept += sweep(ask, _BATCHES, _SWEEP_S)
    return Bound(swept), turns, found


def _levels(levels: Sequence[Level], most: int) -> list[Level]:
    return [level for level in levels if level.clients <= most]


def told(material: Material, measured: report.Measured) -> str:
    """The section, after its head."""
    facts = material.facts
    parts = [
        f"A conformer of the published size (12 + 6 blocks, size 512, 5537 units) in PaddleSpeech's layout, random "
        f"weights; the scores of its blank raised by {facts.blank_bias:.2f}, which makes texts of "
        f"{facts.characters_per_s:.1f} characters per second; clips of {CLIP_S} s, beam 10, attention rescoring.",
        report.bound_table(measured.bounds),
        f"The bound: medians in milliseconds of a run of so many clips, a bare script of two threads; turns of "
        f"{_SWEEP_S:g} s before and after Voxgate's.",
        report.servers_table(measured.rows),
        "Memory is proportional (what processes share counts once), resident the sum over them; cores are the CPU "
        "seconds of server and load generator over those that count.",
        report.stages_table(measured.rows),
        "Voxgate's own stages: medians in milliseconds; those of a batch are shared out over its clips.",
        f"One client by turns of {TURN_S:g} s, and the bars of speed:",
        "\n".join(f"- {line}" for line in report.verdicts(measured)),
    ]
    if not has_paddlespeech():
        parts.append("PaddleSpeech is not installed here, and so not measured.")
    if lacking():
        parts.append(f"Not measured, for want of it: {lacking()}.")
    return "\n\n".join(parts)


if __name__ == "__main__":
    main()

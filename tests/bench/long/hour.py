"""Bar 6: a long recording, against the bound before it and after it, and the memory that it takes."""

import math
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.bench.long.batching import Batches, batches_at
from tests.bench.long.memory import Flatness, flatness, watched
from tests.bench.long.send import Sent, answer_to, sending
from tests.bench.long.subjects import Subject
from tests.bench.markdown import markdown_table
from tests.bench.side.bare import Turn
from tests.bench.side.bound import bound_process, sweep
from tests.bench.side.servers import voxgate
from tests.bench.side.verdicts import holds
from tests.bench.side.ways import Way

SHARE: Final = 0.8
FLAT: Final = 1.05
GROWTH_BYTES: Final = 100 * 10**6
BATCHES: Final = (1, 2, 4, 8, 16)
_COARSE_S: Final = 0.1  # of a turn to a turn of the best batch
_MB: Final = 10**6
_STAGES: Final = ("decode", "features", "encoder", "search", "rescoring", "total")


class Hour(NamedTuple):
    """One recording. `bound` is the turns of the best batch, of which some came before it and some after."""

    subject: Subject
    way: Way
    sent: Sent
    swept: list[Turn]
    bound: list[Turn]
    flatness: Flatness
    cpu_s: float
    batches: Batches

    @property
    def speech_s_per_s(self) -> float:
        """Of what is in its segments: the bound has these to do, and no pauses."""
        return self.subject.speech_s / self.sent.wall_s

    @property
    def bound_s_per_s(self) -> float:
        """Of all turns of the best batch."""
        return statistics.median(turn.audio_s_per_s for turn in self.bound)

    @property
    def share(self) -> float:
        """Of the bound."""
        return self.speech_s_per_s / self.bound_s_per_s

    @property
    def cpu_ms_each(self) -> tuple[float, float]:
        """What a second of speech costs a core, bare and here: the same, where only others slow one of them down."""
        bare = sum(turn.cpu_s for turn in self.bound) / sum(turn.audio_s for turn in self.bound)
        return 1000 * bare, 1000 * self.cpu_s / self.subject.speech_s


def hour(subject: Subject, way: Way, folder: Path, turn_s: float) -> Hour:
    """The bound of all batches, two turns of the best one, the recording, and two more turns."""
    with bound_process(subject.material, way) as ask, voxgate(subject.material, way, folder, {}) as server:
        swept = sweep(ask, BATCHES, max(1.0, turn_s * _COARSE_S))
        best = best_batch(swept)
        turns = sweep(ask, [best] * 2, turn_s)
        with watched(server.pid) as samples, sending(server.url, subject.recording) as sender:
            sent = answer_to(sender)
        batches = batches_at(server.url)
        turns += sweep(ask, [best] * 2, turn_s)
    taken = Hour(subject, way, sent, swept, turns, flatness(samples), samples[-1].cpu_s - samples[0].cpu_s, batches)
    print(f"{subject.name}, {way.shown}: {taken.share:.2f} of the bound", file=sys.stderr, flush=True)
    return taken


def best_batch(turns: Sequence[Turn]) -> int:
    """The one that gets the most done."""
    return max(turns, key=lambda turn: turn.audio_s_per_s).batch


def table(taken: Sequence[Hour]) -> str:
    """A line per recording."""
    heads = ["model", "way", *(f"bound at {batch}" for batch in BATCHES), "best, around it", "recording", "share"]
    heads += [
        "CPU ms/s bare",
        "here",
        "batch of",
        "padding",
        "took s",
        "characters/s",
        *_STAGES,
        "memory midway",
        "late",
        "gateway grew",
    ]
    return markdown_table(heads, map(_cells, taken))


def _cells(one: Hour) -> list[str]:
    bounds = [f"{turn.audio_s_per_s:.1f}" for turn in one.swept]
    shares = [f"{one.bound_s_per_s:.1f} at {one.bound[0].batch}", f"{one.speech_s_per_s:.1f}", f"{one.share:.3f}"]
    spoken = f"{one.sent.characters / one.subject.speech_s:.1f}"
    cpu = [f"{ms:.1f}" for ms in one.cpu_ms_each]
    stages = [f"{one.sent.stages_ms.get(stage, math.nan) / 1000:.1f}" for stage in _STAGES]
    flat = one.flatness
    memory = [f"{size / _MB:.0f}" for size in (flat.middle_bytes, flat.late_bytes, flat.gateway_grew_bytes)]
    took = [*cpu, f"{one.batches.each:.1f}", f"{one.batches.padding:.1%}", f"{one.sent.wall_s:.1f}", spoken]
    return [one.subject.name, one.way.shown, *bounds, *shares, *took, *stages, *memory]


def verdicts(one: Hour) -> list[str]:
    """Whether the bar is met."""
    where = f"6. {one.subject.name}, {one.way.shown}"
    speed = f"{where}: {one.speech_s_per_s:.1f} s of speech per second, {one.share:.2f} of the bound's"
    flat = one.flatness
    memory = f"{where}: memory at the end {flat.ratio:.3f} times that in the middle"
    grew = f"the gateway grew by {flat.gateway_grew_bytes / _MB:.0f} MB"
    is_flat = flat.ratio <= FLAT and flat.gateway_grew_bytes <= GROWTH_BYTES
    return [
        f"{speed} {one.bound_s_per_s:.1f}; the bar is {SHARE:g}: {holds(one.share >= SHARE)}.",
        f"{memory}, {grew}; flat is {FLAT:g} and {GROWTH_BYTES / _MB:.0f} MB: {holds(is_flat)}.",
    ]

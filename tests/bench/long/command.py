"""Bar 7: a command of one second beside three long recordings, and where nobody else asks."""

import contextlib
import itertools
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import httpx

from gateway.bench.figures import Percentiles, percentiles
from gateway.bench.recordings import clips_of
from tests.bench.long.send import sending
from tests.bench.long.subjects import FULL, STARTER, Subject
from tests.bench.markdown import markdown_table
from tests.bench.side.material import MODEL
from tests.bench.side.servers import Server, voxgate
from tests.bench.side.verdicts import holds
from tests.bench.side.ways import Way
from tests.integration.live import TRANSCRIPTIONS

RECORDINGS: Final = 3
BARS_MS: Final = {FULL: 1000.0, STARTER: 100.0}
_IDLE: Final = 60
_BESIDE: Final = 300
_COMMAND_S: Final = 1.0
# Whoever speaks the next one does not do so at the moment that suits the batches of others.
_PAUSE_S: Final = 0.3


class Spoken(NamedTuple):
    """A command: when it went out, and how long its answer took."""

    at_s: float
    took_ms: float


class Commands(NamedTuple):
    """Those before and after the recordings, and those beside them, `sent` from when these were sent."""

    subject: Subject
    way: Way
    idle: list[Spoken]
    beside: list[Spoken]
    were_outlasted: bool

    @property
    def idle_ms(self) -> Percentiles:
        """Where nobody else asks."""
        return _percentiles(self.idle)

    @property
    def beside_ms(self) -> Percentiles:
        """Beside the recordings, from the first byte of them."""
        return _percentiles(self.beside)

    @property
    def added_ms(self) -> float:
        """The bar's: p95 beside the recordings, over the idle p50."""
        return self.beside_ms.p95 - self.idle_ms.p50


def commands(subject: Subject, way: Way, folder: Path) -> Commands:
    """Commands one after another: alone, beside the recordings until one of these has its answer, and alone again."""
    with voxgate(subject.material, way, folder, {}) as server, httpx.Client(base_url=server.url) as client:
        speak = _speaker(client)
        for _ in range(5):
            speak()
        idle = _spoken(speak, _IDLE // 2)
        beside, were_outlasted = _beside(speak, server, subject)
        idle += _spoken(speak, _IDLE // 2)
    taken = Commands(subject, way, idle, beside, were_outlasted)
    print(f"{subject.name}, {way.shown}: {taken.added_ms:+.0f} ms", file=sys.stderr, flush=True)
    return taken


def _speaker(client: httpx.Client) -> Callable[[], float]:
    clips = itertools.cycle([clip for clip in clips_of([], cut_s=[_COMMAND_S]) if clip.language == "zh"])

    def speak() -> float:
        audio = next(clips).audio
        began_s = time.perf_counter()
        form = {"model": MODEL}
        client.post(TRANSCRIPTIONS, files={"file": ("a.wav", audio)}, data=form, timeout=60.0).raise_for_status()
        return (time.perf_counter() - began_s) * 1000

    return speak


def _beside(speak: Callable[[], float], server: Server, subject: Subject) -> tuple[list[Spoken], bool]:
    """And whether the recordings took longer than all that was to be spoken."""
    with contextlib.ExitStack() as stack:
        senders = [stack.enter_context(sending(server.url, subject.recording)) for _ in range(RECORDINGS)]
        spoken = _spoken(speak, _BESIDE, lambda: any(sender.poll() is not None for sender in senders))
        assert not any(sender.poll() for sender in senders), "a recording was refused"
    return spoken, len(spoken) == _BESIDE


def _spoken(speak: Callable[[], float], count: int, is_over: Callable[[], bool] = lambda: False) -> list[Spoken]:
    pauses = random.Random(1)
    began_s, spoken = time.monotonic(), list[Spoken]()
    while len(spoken) < count and not is_over():
        time.sleep(pauses.uniform(0.0, _PAUSE_S))
        spoken.append(Spoken(time.monotonic() - began_s, speak()))
    return spoken


def _percentiles(spoken: Sequence[Spoken]) -> Percentiles:
    found = percentiles(one.took_ms for one in spoken)
    assert found is not None, "nothing was spoken"
    return found


def table(taken: Sequence[Commands]) -> str:
    """A line per model and way."""
    heads = ["model", "way", "idle p50", "p95", f"beside {RECORDINGS} recordings: p50", "p95", "max", "commands"]
    return markdown_table([*heads, "in s", "p95 of the first fifth", "of the others"], map(_cells, taken))


def _cells(one: Commands) -> list[str]:
    idle, beside = one.idle_ms, one.beside_ms
    fifth = max(1, len(one.beside) // 5)
    parts = [_percentiles(part).p95 for part in (one.beside[:fifth], one.beside[fifth:] or one.beside)]
    times = [f"{ms:.0f}" for ms in (idle.p50, idle.p95, beside.p50, beside.p95, beside.max)]
    counts = [str(beside.count), f"{one.beside[-1].at_s:.0f}"]
    return [one.subject.name, one.way.shown, *times, *counts, *(f"{ms:.0f}" for ms in parts)]


def verdict(one: Commands) -> str:
    """Whether the bar is met."""
    bar_ms = BARS_MS[one.subject.name]
    told = f"7. {one.subject.name}, {one.way.shown}: p95 {one.beside_ms.p95:.0f} ms, {one.added_ms:+.0f} ms to the idle"
    return f"{told} p50 of {one.idle_ms.p50:.0f} ms; the bar is {bar_ms:+g} ms: {holds(one.added_ms <= bar_ms)}."

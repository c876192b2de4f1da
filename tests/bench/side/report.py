"""What was measured side by side, as Markdown for RESULTS.md."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from gateway.bench.figures import Run
from tests.bench.markdown import markdown_table
from tests.bench.side.bound import Bound
from tests.bench.side.clips import CLIP_S
from tests.bench.side.loads import Row
from tests.bench.side.turns import OneClient
from tests.bench.side.verdicts import on_a_crowd, on_batching, on_one_client
from tests.bench.side.ways import Way

CROWD = 16
_MIB = 2**20


class Measured(msgspec.Struct, frozen=True):
    """Everything. `theirs` is what PaddleSpeech's server is called in `rows` as its users run it."""

    rows: list[Row]
    bounds: dict[Way, Bound]
    turns: dict[Way, OneClient]
    theirs: str

    def run(self, contender: str, clients: int) -> Run | None:
        """The run of a contender with so many clients, where there was one."""
        found = (row.run for row in self.rows if (row.contender, row.run.load.clients) == (contender, clients))
        return next(found, None)


def ours(way: Way) -> str:
    """What Voxgate is called in `rows`, where it computes in that way."""
    return f"Voxgate, {way.shown}"


def bound_table(bounds: Mapping[Way, Bound]) -> str:
    """Milliseconds of a run by its clips, and what they come to."""
    heads = ["bound", *_sizes(bounds), "best clips/s", "audio s/s", "at batch", "characters"]
    return markdown_table(heads, (_line(way.shown, bound, _sizes(bounds)) for way, bound in bounds.items()))


def _sizes(bounds: Mapping[Way, Bound]) -> list[str]:
    return [str(size) for size in sorted({size for bound in bounds.values() for size in bound.sizes})]


def _line(name: str, bound: Bound, sizes: Sequence[str]) -> list[str]:
    took = [f"{bound.run_ms(int(size)):.0f}" if int(size) in bound.sizes else "" for size in sizes]
    best = bound.clips_per_s(bound.best_batch)
    return [name, *took, f"{best:.2f}", f"{best * CLIP_S:.1f}", str(bound.best_batch), f"{bound.characters:.1f}"]


def servers_table(rows: Sequence[Row]) -> str:
    """A line per run."""
    heads = ["server", "clients", "requests", "errors", "p50 ms", "p95 ms", "p99 ms", "clips/s", "audio s/s"]
    heads += ["memory MiB", "resident MiB", "server's cores", "generator's"]
    return markdown_table(heads, map(_cells, rows))


def _cells(row: Row) -> list[str]:
    run = row.run
    latency = run.latency_ms
    times = [f"{ms:.0f}" for ms in (latency.p50, latency.p95, latency.p99)] if latency else ["", "", ""]
    done = [f"{run.requests_per_s:.2f}", f"{run.audio_s_per_s:.1f}"]
    assert run.server is not None
    held = [f"{size / _MIB:.0f}" for size in (run.server.peak_memory_bytes, row.resident_bytes)]
    cores = [f"{run.server.cpu_s / run.counted_s:.2f}", f"{run.generator.cpu_share:.3f}"]
    return [row.contender, str(run.load.clients), str(run.requests), str(run.failed), *times, *done, *held, *cores]


def stages_table(rows: Sequence[Row]) -> str:
    """Where Voxgate's time goes, as it tells itself; medians."""
    told = [row for row in rows if row.run.stages_ms]
    stages = list(dict.fromkeys(stage for row in told for stage in row.run.stages_ms))
    lines = [[row.contender, str(row.run.load.clients), *_medians(row.run, stages)] for row in told]
    return markdown_table(["server", "clients", *stages], lines)


def _medians(run: Run, stages: Sequence[str]) -> list[str]:
    return [f"{run.stages_ms[stage].p50:.1f}" if stage in run.stages_ms else "" for stage in stages]


def verdicts(measured: Measured) -> Iterator[str]:
    """Of the best way, and then of the others."""
    fastest = min(measured.turns, key=lambda way: measured.turns[way].bound_ms)
    ablest = max(measured.bounds, key=lambda way: _best(measured.bounds[way]))
    alone, crowd = measured.run(measured.theirs, 1), measured.run(measured.theirs, CROWD)
    theirs_ms = alone.latency_ms.p50 if alone and alone.latency_ms else None
    theirs_per_s = crowd.requests_per_s if crowd else None
    for way in sorted(measured.turns, key=lambda way: way != fastest):
        yield from on_one_client(_told(way, fastest), measured.turns[way], theirs_ms)
    for way in sorted(measured.bounds, key=lambda way: way != ablest):
        if run := measured.run(ours(way), CROWD):
            bound_per_s = _best(measured.bounds[way])
            yield from on_a_crowd(_told(way, ablest), run.requests_per_s, bound_per_s, theirs_per_s)
    for way, taken in measured.turns.items():
        yield on_batching(way.shown, taken)


def _told(way: Way, best: Way) -> str:
    return f"{way.shown}, the fastest engine" if way == best else way.shown


def _best(bound: Bound) -> float:
    return bound.clips_per_s(bound.best_batch)

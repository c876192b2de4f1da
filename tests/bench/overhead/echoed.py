"""The gateway with workers that answer at once beside a bare handler of the same upload, in turns; and two bars."""

import statistics
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tests.bench.machine import machine
from tests.bench.markdown import markdown_table
from tests.bench.overhead.load import CLIP_S, GENERATOR, Taken, clips, driven
from tests.bench.overhead.servers import Driven, Echo, bare

ROUNDS: Final = 3
CLIENTS: Final = (1, 8, 16, 32)
BARE, GATEWAY, AUTO = "bare handler", "gateway", "gateway, language not said"
BAR_MS: Final = 5.0
BAR_PER_S: Final = 800.0
_SECONDS: Final = 1.5
# Two requests to two predictors: a second line, of which the ends will do.
_AUTO_CLIENTS: Final = (1, 16)
Runs = dict[tuple[str, int], list[Taken]]


def main() -> None:
    """Print the figures and what they come to."""
    runs = measured()
    print(f"Medians of {ROUNDS} rounds of {_SECONDS:g} s each on {machine()}; clips of {CLIP_S:g} s.\n")
    print(table(runs))
    for line in verdicts(runs):
        print(line)


def measured() -> Runs:
    """Rounds in which all take turns."""
    runs: Runs = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder, bare() as rival:
        gateway = Echo(Path(folder) / "data", {"VOXGATE_SERVER_STARTER_MODELS": "true"}).started()
        try:
            gateway.transcribe(clips()[0].audio).raise_for_status()  # brings both predictors in
            for _ in range(ROUNDS):
                for name, clients, server, language in _turns(rival, gateway.driven()):
                    taken = driven(*server, clients=clients, seconds=_SECONDS, language=language)
                    runs[name, clients].append(taken)
        finally:
            gateway.ended()
    return runs


def _turns(rival: Driven, ours: Driven) -> Iterator[tuple[str, int, Driven, str | None]]:
    for clients in CLIENTS:
        yield BARE, clients, rival, "zh"
        yield GATEWAY, clients, ours, "zh"
        if clients in _AUTO_CLIENTS:
            yield AUTO, clients, ours, None


def table(runs: Runs) -> str:
    """Markdown."""
    heads = ["server", "clients", "requests/s", "of bare", "p50 ms", "p95 ms", "p99 ms"]
    heads += [GENERATOR, "server", "workers", "server's ms each"]
    rows = [[name, str(clients), *figures(some, runs[BARE, clients])] for (name, clients), some in runs.items()]
    return f"{markdown_table(heads, rows)}\n\nGenerator, server and workers: what their processes took of one core.\n"


def figures(runs: Sequence[Taken], rivals: Sequence[Taken]) -> list[str]:
    """Of one row."""
    per_s = _median(run.requests_per_s for run in runs)
    times = [_median(getattr(run.latency_ms, name) for run in runs) for name in ("p50", "p95", "p99")]
    cores = [_median(run.cores.get(name, 0.0) for run in runs) for name in (GENERATOR, "server", "workers")]
    each_ms = _median(run.ms_each("server") for run in runs)
    return [
        f"{per_s:.0f}",
        f"{_ratio(runs, rivals):.2f}",
        *(f"{spent_ms:.2f}" for spent_ms in times),
        *(f"{core:.0%}" for core in cores),
        f"{each_ms:.2f}",
    ]


def verdicts(runs: Runs) -> list[str]:
    """A line per bar."""
    p50_ms = _median(run.latency_ms.p50 for run in runs[GATEWAY, 1])
    per_s = {clients: _median(run.requests_per_s for run in runs[GATEWAY, clients]) for clients in CLIENTS}
    most = max(per_s, key=per_s.__getitem__)
    share = _ratio(runs[GATEWAY, most], runs[BARE, most])
    return [
        f"One client: p50 {p50_ms:.2f} ms; the bar is {BAR_MS:g} ms.",
        f"{most} clients: {per_s[most]:.0f} requests/s, {share:.2f} of the bare handler's; the bar is {BAR_PER_S:g}.",
    ]


def _ratio(runs: Sequence[Taken], rivals: Sequence[Taken]) -> float:
    """Of the runs side by side, so that a round that found the machine busy counts for both."""
    return _median(run.requests_per_s / rival.requests_per_s for run, rival in zip(runs, rivals, strict=True))


def _median(values: Iterator[float]) -> float:
    return statistics.median(values)

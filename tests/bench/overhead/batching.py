"""A bundled model with batching and without it, one client, in turns: what the wait for company costs who has none."""

import contextlib
import statistics
import tempfile
from pathlib import Path
from typing import Final

from tests.bench.machine import machine
from tests.bench.markdown import markdown_table
from tests.bench.overhead.load import CLIP_S, Taken, clips, driven
from tests.bench.side.servers import ONE_BY_ONE
from tests.integration.live import Gateway

ROUNDS: Final = 7
BAR: Final = 1.05
_SECONDS: Final = 3.0


def main() -> None:
    """Print the figures and what they come to."""
    runs = measured()
    print(f"Medians of {ROUNDS} rounds of {_SECONDS:g} s each on {machine()}; clips of {CLIP_S:g} s.\n")
    rows = ([name, *figures(taken)] for name, taken in runs.items())
    print(markdown_table(["batching", "p50 ms", "p95 ms", "requests/s"], rows))
    ratio = statistics.median(on.latency_ms.p50 / off.latency_ms.p50 for on, off in zip(*runs.values(), strict=True))
    print(f"\nOne client: p50 with batching {ratio:.3f} times that without; the bar is {BAR:g}.")


def measured() -> dict[str, list[Taken]]:
    """Rounds in which the two take turns."""
    runs: dict[str, list[Taken]] = {"on": [], "off": []}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as ends:
        gateways = {}
        for name, environ in zip(runs, ({}, ONE_BY_ONE), strict=True):
            base = {"VOXGATE_SERVER_STARTER_MODELS": "true", "VOXGATE_RUNTIME_THREADS": "0"}
            gateway = Gateway(Path(folder) / name, base | environ)
            ends.callback(gateway.ended)
            gateways[name] = gateway.started()
            gateway.transcribe(clips()[0].audio, language="zh").raise_for_status()  # brings the model in
        for number in range(ROUNDS):
            for name in sorted(runs, reverse=bool(number % 2)):
                runs[name].append(driven(gateways[name].url, {}, clients=1, seconds=_SECONDS))
    return runs


def figures(runs: list[Taken]) -> list[str]:
    """Of one row."""
    p50_ms, p95_ms = (statistics.median(getattr(run.latency_ms, name) for run in runs) for name in ("p50", "p95"))
    return [f"{p50_ms:.2f}", f"{p95_ms:.2f}", f"{statistics.median(run.requests_per_s for run in runs):.1f}"]

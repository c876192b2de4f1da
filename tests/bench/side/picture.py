"""Side by side in a picture: what clients wait, and what gets done, over how many they are."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.bench.side.bound import Bound
from tests.bench.side.clips import CLIP_S
from tests.bench.side.loads import Row
from tests.bench.side.ways import Way

PICTURE: Final = Path(__file__).parents[1] / "side.png"
_COLOURS: Final = ("#9ecae1", "#2c7fb8", "#08306b", "#c0392b", "#e6a23c", "#8c6d31")


def draw(file: Path, rows: Sequence[Row], bounds: Mapping[Way, Bound]) -> None:
    """Both on scales of powers, for the contenders differ by more than ten times."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (latency, done) = plt.subplots(1, 2, figsize=(12, 4.6))
    for name, colour in zip(dict.fromkeys(row.contender for row in rows), _COLOURS, strict=False):
        runs = [row.run for row in rows if row.contender == name and row.run.latency_ms]
        clients = [run.load.clients for run in runs]
        p50_ms = [run.latency_ms.p50 for run in runs if run.latency_ms]
        latency.plot(clients, p50_ms, "o-", color=colour, label=name.replace("`", ""))
        latency.plot(clients, [run.latency_ms.p95 for run in runs if run.latency_ms], ":", color=colour)
        done.plot(clients, [run.audio_s_per_s for run in runs], "o-", color=colour)
    for bound in bounds.values():
        best = bound.clips_per_s(bound.best_batch) * CLIP_S
        done.axhline(best, color="#888888", linewidth=1)
    latency.set_ylabel("latency in ms: p50, dotted p95")
    done.set_ylabel("seconds of audio per second; grey: the bounds")
    sizes = sorted({row.run.load.clients for row in rows})
    for axes in (latency, done):
        axes.set_xscale("log", base=4)
        axes.set_yscale("log")
        axes.set_xticks(sizes, [str(size) for size in sizes])
        axes.set_xlabel("clients")
        axes.grid(alpha=0.3)
    latency.legend(frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(file, dpi=110)
    plt.close(figure)

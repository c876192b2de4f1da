"""The report as a picture: latencies, and beside them what the server got done."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from gateway.bench.figures import Run
from gateway.bench.report import Report, check_folder
from model_store.errors import OptionInvalid

_SUFFIXES: Final = (".png", ".svg", ".pdf")
_PERCENTILES: Final = {"p50": "#2c7fb8", "p95": "#e6a23c", "p99": "#c0392b"}


def check_picture(file: Path) -> None:
    """Before the measurement rather than after it; raises OptionInvalid where no picture could be made."""
    if file.suffix not in _SUFFIXES:
        raise OptionInvalid(f"A picture is one of {', '.join(_SUFFIXES)}, not {file.name!r}.", param="picture")
    check_folder(file, "picture")
    if find_spec("matplotlib") is None:
        raise OptionInvalid("A picture needs matplotlib: pip install 'voxgate[bench]'.", param="picture")


def draw(report: Report, file: Path) -> None:
    """Write the picture; a single run shows its whole distribution, several show percentiles side by side."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    runs = [run for run in report.runs if run.latency_ms is not None]
    figure, (latency, throughput) = plt.subplots(1, 2, figsize=(11, 4.2))
    if len(runs) == 1:
        _distribution(latency, runs[0])
    else:
        _levels(latency, runs)
    _throughput(throughput, runs)
    figure.suptitle(f"{report.server} {report.address}", fontsize=10)
    figure.tight_layout()
    figure.savefig(file, dpi=120)
    plt.close(figure)


def _distribution(axes: Any, run: Run) -> None:
    axes.plot(run.distribution_ms, range(len(run.distribution_ms)), color="#2c7fb8")
    for name, colour in _PERCENTILES.items():
        at_ms = getattr(run.latency_ms, name)
        axes.axvline(at_ms, color=colour, linewidth=1, label=f"{name} {at_ms:,.0f} ms")
    axes.set_xlabel("latency, ms")
    axes.set_ylabel("% of requests that were as fast or faster")
    axes.set_title(run.load.shown)
    axes.set_ylim(0, 101)
    axes.set_xlim(left=0)
    axes.legend(frameon=False)


def _levels(axes: Any, runs: Sequence[Run]) -> None:
    places = range(len(runs))
    for name, colour in _PERCENTILES.items():
        axes.plot(places, [getattr(run.latency_ms, name) for run in runs], "o-", color=colour, label=name)
    _name(axes, runs)
    axes.set_ylabel("latency, ms")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)


def _throughput(axes: Any, runs: Sequence[Run]) -> None:
    """Requests per second, of these what came in time, and above them the seconds of audio."""
    bars = axes.bar(range(len(runs)), [run.requests_per_s for run in runs], 0.5, color="#9ecae1", label="requests")
    axes.bar_label(bars, [f"{run.audio_s_per_s:.1f}" for run in runs], padding=2)
    good = [run.goodput for run in runs if run.goodput is not None]
    if good:
        label = f"answered within {good[0].deadline_s:g} s"
        axes.bar(range(len(good)), [one.requests_per_s for one in good], 0.5, color="#2c7fb8", label=label)
    _name(axes, runs)
    axes.set_ylabel("requests/s (above the bars: audio s/s)")
    axes.margins(y=0.15)
    axes.legend(frameon=False, loc="best")


def _name(axes: Any, runs: Sequence[Run]) -> None:
    axes.set_xticks(range(len(runs)), [run.load.shown for run in runs])
    axes.set_xlim(min(-0.5, (len(runs) - 4) / 2), max(len(runs) - 0.5, (len(runs) + 2) / 2))
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)

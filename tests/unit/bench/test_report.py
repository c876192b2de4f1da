"""What is shown: tables, JSON, pictures."""

import io
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from gateway.bench.figures import Taken, run_of
from gateway.bench.loop import Demand, Load
from gateway.bench.meter import ServerUse
from gateway.bench.outcomes import Outcome, Window
from gateway.bench.picture import check_picture, draw
from gateway.bench.recordings import Clip
from gateway.bench.report import Report, Sent, check_folder, tables
from model_store.errors import OptionInvalid

Make = Callable[..., Outcome]
USE = ServerUse(pid=1, processes=3, memory_bytes=2**30, peak_memory_bytes=2**31, cpu_s=12.5)
CLIPS = [
    Clip(name="a", audio=b"12", duration_s=1.5, language="zh", text="一"),
    Clip(name="b", audio=b"345", duration_s=4.0),
]
SENT = Sent.of(CLIPS, [("languages[]", "zh"), ("languages[]", "yue")], says_language=True)


@pytest.fixture
def report(outcome: Make) -> Callable[..., Report]:
    """Of loads that all went alike: 20 requests, one of them an error."""

    def make(*loads: Load, **more: Any) -> Report:
        stages = {"decode": 4.0, "total": 90.0}
        outcomes = [outcome(1.0, 0.1 * n, stages_ms=stages, is_right=n > 2) for n in range(1, 20)]
        outcomes.append(outcome(1.0, 0.5, code="queue_full"))
        facts = {"window": Window(0.0, 10.0), "cpu_s": 0.5, "server": USE, "unanswered": 0, "is_interrupted": False}
        facts["error_messages"] = {"queue_full": "The queue [of zh] is full."}
        runs = [run_of(outcomes, Taken(load=load, **(facts | more)), 1.0) for load in loads]
        about: dict[str, Any] = {"voxgate": "1", "server": "voxgate", "address": "http://a[b]", "sent": SENT}
        return Report(began_at=datetime.now(UTC), runs=runs, **about)

    return make


def shown(report: Report) -> str:
    console = Console(file=io.StringIO(), width=100)
    console.print(tables(report))
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_tables_have_a_column_per_run_and_every_figure(report) -> None:
    text = shown(report(Load(clients=1), Load(clients=16)))
    for told in (
        *("http://a[b]", "2 clips of 1.5 to 4.0 s", "1 unknown, 1 zh", "1 client ", "16 clients"),
        *(
            "1 queue_full",
            "queue_full: The queue [of zh] is full.",
            "latency p99, ms",
            "1,900",
            "requests per s",
            "audio s per s",
            "3.80",
        ),
        *("in time per s", "1.00", "50.0%", "2 of 19", "generator, CPU s", "5.0%"),
        *("server, peak MiB", "2,048", "12.5", "decode", "4.0/4.0/4.0", "90.0/90.0/90.0"),
    ):
        assert told in text, told
    assert "sent late" not in text
    assert "waited for a load" not in text


def test_tables_warn_of_what_makes_figures_doubtful(report, outcome: Make) -> None:
    busy = shown(report(Load(clients=1), cpu_s=9.0))
    assert "the generator was busy itself" in busy
    slow = shown(report(Load(clients=64), window=Window(90.0, 120.0)))
    assert "64 clients: no answer came within 30 s; give it more --seconds, or --requests." in " ".join(slow.split())
    stopped = shown(report(Load(demand=Demand(2.0, "poisson")), is_interrupted=True, unanswered=3))
    assert "2/s poisson: interrupted after 10.0 s; 3 answers were still out." in stopped
    assert "sent late p99" in stopped


def test_json_is_the_whole_report(report) -> None:
    told = report(Load(clients=2), Load(demand=Demand(2.0, "bursty")))
    assert msgspec.json.decode(told.json(), type=Report) == told
    plain = msgspec.json.decode(told.json())
    assert plain["sent"]["fields"] == {"languages[]": ["zh", "yue"]}
    assert plain["runs"][1]["load"]["demand"] == {"rate_hz": 2.0, "arrivals": "bursty"}


@pytest.mark.parametrize("loads", [[1], [1, 4, 16, 64]])
def test_picture_is_drawn_of_one_run_and_of_several(report, tmp_path: Path, loads: list[int]) -> None:
    pytest.importorskip("matplotlib")
    file = tmp_path / "a.png"
    draw(report(*(Load(clients=count) for count in loads)), file)
    assert file.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_picture_of_runs_without_an_answer_is_empty_and_no_failure(report, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    draw(report(Load(clients=1), window=Window(0.0, 0.0)), tmp_path / "a.svg")
    assert (tmp_path / "a.svg").stat().st_size


def test_picture_without_matplotlib_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(OptionInvalid, match=r"pip install 'voxgate\[bench\]'"):
        check_picture(tmp_path / "a.png")


def test_picture_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionInvalid, match=r"\.png"):
        check_picture(tmp_path / "a.bmp")


def test_file_in_no_folder_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    with pytest.raises(OptionInvalid, match="none"):
        check_folder(tmp_path / "none" / "a.json", "json")

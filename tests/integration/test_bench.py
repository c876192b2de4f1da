"""`voxgate bench` against a real gateway, in a process of its own as its users start it."""

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integration.live import TRANSCRIPTIONS, VOXGATE, Gateway, until
from tests.integration.sound import speech, wav

SAID = ("--field", "language=zh", "--json", "-")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three clips from one to three seconds."""
    folder = tmp_path_factory.mktemp("recordings")
    for seconds in (1, 2, 3):
        (folder / f"{seconds}.wav").write_bytes(wav(speech(seconds)))
    return folder


def command(gateway: Gateway, recordings: Path, *options: str) -> list[str]:
    return [str(VOXGATE), "--data-dir", str(gateway.data_dir), "bench", str(recordings), *SAID, *options]


def benched(gateway: Gateway, recordings: Path, *options: str) -> dict[str, Any]:
    """The report of a run that went well."""
    line = command(gateway, recordings, *options)
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def answered(gateway: Gateway) -> float:
    return gateway.metric("voxgate_requests_total", route=TRANSCRIPTIONS, status="200")


def test_bench_of_the_gateway_on_this_data_directory_tells_all_of_it(gateway: Gateway, recordings: Path) -> None:
    before = answered(gateway)
    report = benched(gateway, recordings, "--clients", "1,3", "--requests", "9", "--warm-up", "0", "--deadline", "60")
    assert answered(gateway) - before == 18
    assert report["address"].startswith("unix:")
    assert (report["sent"]["clips"], report["sent"]["audio_s"]) == (3, pytest.approx(6.0))
    for run in report["runs"]:
        assert (run["requests"], run["errors"], run["goodput"]["share"]) == (9, {}, 1.0)
        assert {"decode", "queue", "features", "encoder", "search", "total"} <= set(run["stages_ms"])
        assert run["stages_ms"]["total"]["count"] == 9
        assert run["latency_ms"]["max"] >= run["stages_ms"]["total"]["max"]
        assert run["audio_s_per_s"] == pytest.approx(18 / run["counted_s"])
        server = run["server"]
        assert server["pid"] == gateway.pid
        assert server["processes"] >= 3  # itself, the fork server, a worker
        assert server["peak_memory_bytes"] >= server["memory_bytes"] > 100_000_000
        assert server["cpu_s"] > 0


def test_bench_over_the_network_sends_at_its_own_rate(gateway: Gateway, recordings: Path) -> None:
    options = ("--url", gateway.url, "--rate", "10", "--arrivals", "constant", "--seconds", "1.5", "--warm-up", "0.5")
    (run,) = benched(gateway, recordings, *options)["runs"]
    assert run["requests"] == pytest.approx(15, abs=1)
    assert (run["errors"], run["server"]) == ({}, None)
    assert run["counted_s"] == pytest.approx(1.5)


def test_bench_that_is_interrupted_tells_what_was_done(gateway: Gateway, recordings: Path) -> None:
    before = answered(gateway)
    line = command(gateway, recordings, "--clients", "2", "--seconds", "600", "--warm-up", "0")
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            until(lambda: answered(gateway) >= before + 6, "answers", 60.0)
        finally:
            process.send_signal(signal.SIGINT)
        told, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    (run,) = json.loads(told)["runs"]
    assert run["is_interrupted"]
    assert run["requests"] >= 6
    assert run["unanswered"] <= 2
    assert run["latency_ms"]["count"] == run["requests"]


def test_bench_that_is_refused_ends_at_once_with_the_gateways_own_words(gateway: Gateway, recordings: Path) -> None:
    line = command(gateway, recordings, "--field", "domain=none", "--seconds", "600")
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "domain_unknown: Every request is refused" in done.stderr
    assert "Traceback" not in done.stderr

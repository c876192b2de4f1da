"""The command as a shell sees it, where no gateway is needed."""

import subprocess
import sys
from pathlib import Path

import pytest

VOXGATE = Path(sys.executable).with_name("voxgate")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([VOXGATE, *arguments], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ((), ["serve", "transcribe", "doctor", "bench", "models", "--data-dir", "--config"]),
        (("serve",), ["--host", "--port"]),
        (("transcribe",), ["--language", "--domain", "--model", "--channels", "--json"]),
        (("models",), ["list", "import", "rules"]),
        (
            ("bench",),
            [
                *("--url", "--server", "--pid", "--api-key", "OPENAI_API_KEY", "--header", "--field", "--say-language"),
                *("--cut", "--wav", "--clients", "--rate", "--arrivals", "poisson|constant|bursty", "--seconds"),
                *("--requests", "--warm-up", "--timeout", "--seed", "--deadline", "--json", "--picture"),
            ],
        ),
    ],
)
def test_help_names_every_command_and_option(command: tuple[str, ...], told: list[str]) -> None:
    answer = run(*command, "--help")
    assert answer.returncode == 0
    assert not [word for word in told if word not in answer.stdout]


def test_doctor_shows_devices_versions_and_how_to_get_what_is_missing(tmp_path: Path) -> None:
    answer = run("--data-dir", str(tmp_path), "doctor")
    assert answer.returncode == 0
    for told in ("cpu", "MiB", "paddlepaddle", "3.1.1", "paddlepaddle-gpu", "README", "does not run"):
        assert told in answer.stdout


def test_models_list_on_nothing_says_how_models_come_in(tmp_path: Path) -> None:
    answer = run("--data-dir", str(tmp_path), "models", "list")
    assert answer.returncode == 1
    assert "model_unknown" in answer.stderr
    assert "voxgate serve" in answer.stderr


def test_bench_where_no_gateway_runs_says_so_and_starts_none(tmp_path: Path) -> None:
    answer = run("--data-dir", str(tmp_path), "bench")
    assert answer.returncode == 1
    assert "model_unavailable: No gateway runs on this data directory." in answer.stderr
    assert not list(tmp_path.iterdir())


def test_bench_of_a_server_that_is_not_there_says_so_at_once(tmp_path: Path) -> None:
    answer = run("bench", "--url", "http://127.0.0.1:1", "--seconds", "600", "--json", str(tmp_path / "a.json"))
    assert answer.returncode == 1
    assert "model_unavailable: No server answers at http://127.0.0.1:1." in answer.stderr
    assert not (tmp_path / "a.json").exists()


def test_error_of_the_tree_is_one_line_without_a_traceback(tmp_path: Path) -> None:
    answer = run("--config", str(tmp_path / "none.toml"), "models", "list")
    assert answer.returncode == 1
    assert answer.stderr.startswith("option_invalid: The settings file none.toml")
    assert "Traceback" not in answer.stderr


def test_port_out_of_range_is_refused_before_anything_starts(tmp_path: Path) -> None:
    answer = run("--data-dir", str(tmp_path / "data"), "serve", "--port", "99999")
    assert answer.returncode == 1
    assert "server.port" in answer.stderr
    assert not (tmp_path / "data").exists()

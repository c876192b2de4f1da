"""What operators see of a real gateway: over HTTP and in the terminal, with a key and without one."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.live import VOXGATE, Gateway, copied, until
from tests.integration.sound import speech, wav

StartGateway = Callable[..., Gateway]
RESIDENCY = "/admin/v1/residency"
KEY = "a-key-for-one-test-alone"
MIB = 2**20


@pytest.fixture(scope="module")
def locked(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with an operator's key, and one version loaded."""
    data_dir = copied(template, tmp_path_factory.mktemp("locked") / "data")
    gateway = Gateway(data_dir, {"VOXGATE_BOOTSTRAP_KEY": KEY}).started()
    assert gateway.transcribe(wav(speech(2.0)), language="zh").is_success
    yield gateway
    gateway.ended()


def shown(gateway: Gateway, *options: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """`voxgate residency` in a wide terminal of its own."""
    command = [VOXGATE, "residency", "--url", gateway.url, *options]
    wide = {**gateway.environ, "COLUMNS": "200", **environ}
    return subprocess.run(command, env=wide, capture_output=True, text=True, timeout=60, check=False)


def asked(gateway: Gateway) -> dict[str, Any]:
    """The view, as JSON."""
    answer = gateway.http.get(RESIDENCY, headers={"authorization": f"Bearer {KEY}"})
    assert answer.status_code == 200, answer.text
    view: dict[str, Any] = answer.json()
    return view


def test_residency_after_a_request_shows_the_resident_with_sensible_numbers(locked: Gateway) -> None:
    worker = locked.worker()

    def at_rest() -> dict[str, Any] | None:
        """The view, once it says of the worker what psutil says of its mappings; it is measured once a second."""
        view = asked(locked)
        written = sum(mapped.private_dirty for mapped in worker.memory_maps())
        (resident,) = view["residents"]
        agrees = abs(resident["measured_bytes"] - written) < 0.1 * written
        return view if agrees and resident["charged_bytes"] >= resident["measured_bytes"] else None

    view = until(at_rest, "figures that agree")
    assert view is not None
    (device,) = view["devices"]
    (resident,) = view["residents"]

    assert (resident["model"], resident["language"], resident["domain"]) == ("zh-general", "zh", "general")
    assert resident["digest"].startswith(resident["version"])
    assert (resident["phase"], resident["reason"], resident["leases"]) == ("ready", "demand", 0)
    assert resident["keep_alive_s"] is None
    assert 0 < resident["load_s"] < resident["age_s"]
    assert 0 <= resident["last_use_s"] < resident["age_s"] - resident["load_s"]
    assert resident["measured_bytes"] > 10 * MIB
    assert resident["predicted_bytes"] > 10 * MIB

    assert device["charged_bytes"] == device["shared_bytes"] + resident["charged_bytes"]
    assert device["free_bytes"] == device["budget_bytes"] - device["charged_bytes"] - device["growth_bytes"] > 0
    assert device["shared_bytes"] > 10 * MIB
    assert device["reserved_bytes"] == 0
    assert view["waiting"] == view["breakers"] == []
    (load,) = view["decisions"]
    assert (load["what"], load["model"], load["reason"], load["device"]) == ("load", "zh-general", "demand", "cpu")


def test_residency_without_the_key_is_refused_as_a_problem(locked: Gateway) -> None:
    answer = locked.http.get(RESIDENCY, headers={"x-request-id": "r-1"})
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, answer.json()["code"], answer.json()["request_id"]) == (401, "key_missing", "r-1")
    assert locked.metric("voxgate_errors_total", code="key_missing") == 1
    assert KEY not in locked.log()


def test_residency_command_prints_the_resident_once(locked: Gateway) -> None:
    answer = shown(locked, "--once")
    assert answer.returncode == 0, answer.stderr
    for told in ("zh-general", "ready", "cpu", "demand", "zh/general"):
        assert told in answer.stdout


def test_residency_command_as_json_is_what_the_gateway_answers(locked: Gateway) -> None:
    printed = json.loads(shown(locked, "--json").stdout)
    answered = asked(locked)
    assert printed.keys() == answered.keys()
    assert [one["digest"] for one in printed["residents"]] == [one["digest"] for one in answered["residents"]]


@pytest.mark.parametrize(("key", "code"), [("another", "key_invalid"), (None, "key_missing")])
def test_residency_command_with_a_wrong_key_or_none_says_where_it_belongs(
    locked: Gateway, key: str | None, code: str
) -> None:
    command = [VOXGATE, "residency", "--once", "--url", locked.url]
    environ = {name: value for name, value in locked.environ.items() if name != "VOXGATE_BOOTSTRAP_KEY"}
    said = {"VOXGATE_BOOTSTRAP_KEY": key} if key else {}
    answer = subprocess.run(command, env=environ | said, capture_output=True, text=True, timeout=60, check=False)
    assert answer.returncode == 1
    assert answer.stderr.startswith(code)
    assert "VOXGATE_BOOTSTRAP_KEY" in answer.stderr


def test_residency_without_a_key_answers_loopback_alone(
    new_gateway: StartGateway,
) -> None:
    gateway = new_gateway().started()
    assert gateway.http.get(RESIDENCY).json()["residents"] == []
    assert shown(gateway, "--once").returncode == 0
    proxied = gateway.http.get(RESIDENCY, headers={"x-forwarded-for": "127.0.0.1"})
    assert (proxied.status_code, proxied.json()["code"]) == (403, "not_permitted")
    socket = httpx.HTTPTransport(uds=str(gateway.data_dir / "gateway.sock"))
    with httpx.Client(transport=socket, base_url="http://127.0.0.1") as http:
        assert http.get(RESIDENCY).status_code == 403

"""Workers, fork server and gateway are killed and told to stop; what callers and the machine see of it."""

import json
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest

from tests.integration.live import TRANSCRIPTIONS, VOXGATE, Gateway, cpu_s, until
from tests.integration.sound import RATE_HZ, speech, wav

StartGateway = Callable[..., Gateway]
SHORT = wav(speech(3.0))
# Four minutes in a dozen segments: more than one batch, and seconds of work for a model that is cheap.
LONG = wav(np.tile(np.concatenate([speech(12.0), np.zeros(RATE_HZ)]), 18))
_ALL_GONE_S = 3.0


def in_background(work: Callable[[], httpx.Response]) -> "Future[httpx.Response]":
    pool = ThreadPoolExecutor(1)
    answer = pool.submit(work)
    pool.shutdown(wait=False)
    return answer


def asked(gateway: Gateway, audio: bytes, language: str = "zh") -> "Future[httpx.Response]":
    """A request under way."""
    return in_background(lambda: gateway.transcribe(audio, language=language))


def computing(worker: psutil.Process) -> None:
    """Wait until the worker works on a batch."""
    before_s = cpu_s(worker)
    until(lambda: cpu_s(worker) > before_s + 0.1, "a computing worker")


def inside(gateway: Gateway, count: int) -> None:
    """Wait until so many requests are being answered, beside the one that asks."""
    until(lambda: gateway.metric("voxgate_requests_in_flight") == count, f"{count} requests in flight")


def loaded_worker(gateway: Gateway, language: str = "zh") -> psutil.Process:
    """The worker of a language, which serves."""
    before = {process.pid for process in gateway.workers()}
    assert gateway.transcribe(SHORT, language=language).is_success
    return next(process for process in gateway.workers() if process.pid not in before)


def all_gone(gateway: Gateway) -> None:
    until(lambda: not gateway.processes(), "the end of every process", _ALL_GONE_S)


def test_worker_killed_in_the_middle_of_a_request_costs_a_retry_and_nobody_else_notices(
    new_gateway: StartGateway,
) -> None:
    gateway = new_gateway().started()
    zh, en = loaded_worker(gateway, "zh"), loaded_worker(gateway, "en")
    undisturbed = gateway.transcribe(LONG, language="zh").json()["text"]
    answer = asked(gateway, LONG)
    computing(zh)
    zh.kill()
    assert gateway.transcribe(SHORT, language="en").is_success
    assert answer.result().json()["text"] == undisturbed
    assert gateway.events("dispatch.worker_died")
    assert gateway.metric("voxgate_model_evictions_total", reason="crash", model="zh-general") == 1
    assert gateway.metric("voxgate_model_evictions_total") == 1
    assert gateway.metric("voxgate_model_loads_total", model="zh-general", outcome="loaded") == 2
    assert en.is_running()


def test_worker_killed_while_idle_the_next_request_gets_a_new_one(new_gateway: StartGateway) -> None:
    gateway = new_gateway().started()
    for _ in range(3):
        loaded_worker(gateway).kill()
        assert gateway.transcribe(SHORT, language="zh").is_success
        gateway.worker().kill()
        until(lambda: not gateway.workers(), "the worker's end")
    assert not gateway.events("dispatch.broke")


def test_workers_killed_twice_over_one_request_lose_that_request_and_no_other(new_gateway: StartGateway) -> None:
    gateway = new_gateway().started()
    first = loaded_worker(gateway)
    answer = asked(gateway, LONG)
    computing(first)
    first.kill()
    gateway.event("residency.loaded", number=2)
    gateway.worker(than=first.pid).kill()
    lost = answer.result()
    assert (lost.status_code, lost.json()["error"]["code"]) == (502, "worker_lost")
    assert gateway.transcribe(SHORT, language="zh").is_success
    assert gateway.metric("voxgate_model_evictions_total", reason="crash") == 2


def test_fork_server_killed_workers_go_on_and_new_ones_come(new_gateway: StartGateway) -> None:
    gateway = new_gateway().started()
    zh = loaded_worker(gateway, "zh")
    server = gateway.fork_server()
    assert server is not None
    server.kill()
    assert gateway.transcribe(SHORT, language="zh").is_success
    assert gateway.transcribe(SHORT, language="en").is_success
    assert gateway.transcribe(SHORT, language="zh").is_success
    assert zh.is_running()
    assert gateway.metric("voxgate_model_loads_total", model="zh-general") == 1


def test_fork_server_killed_while_it_starts_another_one_is_started(new_gateway: StartGateway) -> None:
    gateway = new_gateway({"VOXGATE_RESIDENCY_FAILURE_BACKOFF_S": "0.5"}).launched()
    server = until(gateway.fork_server, "a fork server")
    server.kill()
    assert gateway.started().transcribe(SHORT, language="zh").is_success


def test_worker_that_falls_silent_is_replaced(new_gateway: StartGateway) -> None:
    gateway = new_gateway({"VOXGATE_RUNTIME_HEARTBEAT_TIMEOUT_S": "2"}).started()
    worker = loaded_worker(gateway)
    worker.suspend()
    assert gateway.transcribe(SHORT, language="zh").is_success
    assert not worker.is_running()
    assert gateway.events("worker.silent")


def _idle(gateway: Gateway) -> None:
    loaded_worker(gateway.started())


def _computing(gateway: Gateway) -> None:
    worker = loaded_worker(gateway.started())
    asked(gateway, LONG)
    computing(worker)


def _loading(gateway: Gateway) -> None:
    loaded_worker(gateway.started(), "en")
    asked(gateway, SHORT, "zh")
    until(lambda: len(gateway.workers()) == 2, "a loading worker")


def _starting(gateway: Gateway) -> None:
    gateway.launched()
    until(gateway.fork_server, "a fork server")


def _spawning(gateway: Gateway) -> None:
    gateway.environ["VOXGATE_RUNTIME_START"] = "spawn"
    assert gateway.started().transcribe(SHORT, language="zh").is_success
    assert len(gateway.processes()) >= 3  # itself, a worker, a spare


@pytest.mark.parametrize("busy", [_idle, _computing, _loading, _starting, _spawning])
def test_gateway_killed_leaves_no_process(new_gateway: StartGateway, busy: Callable[[Gateway], None]) -> None:
    gateway = new_gateway()
    busy(gateway)
    gateway.signal(signal.SIGKILL)
    gateway.wait()
    all_gone(gateway)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_gateway_told_to_stop_under_load_answers_whom_it_let_in_and_refuses_newcomers(
    new_gateway: StartGateway, number: signal.Signals
) -> None:
    gateway = new_gateway().started()
    worker = loaded_worker(gateway)
    worker.suspend()  # so that the requests are in flight for as long as this test wants
    answers = [asked(gateway, SHORT) for _ in range(4)] + [asked(gateway, LONG)]
    inside(gateway, len(answers))
    gateway.signal(number)
    gateway.event("server.draining")
    refused = gateway.transcribe(SHORT, language="zh")
    ready = gateway.http.get("/readyz")
    worker.resume()
    assert [answer.result().status_code for answer in answers] == [200] * len(answers)
    assert gateway.wait() == 0
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "shutting_down")
    assert int(refused.headers["retry-after"]) >= 1
    assert (ready.status_code, ready.json()["reasons"]) == (503, ["shutting down"])
    all_gone(gateway)


def test_gateway_told_to_stop_sends_a_stream_to_its_end(new_gateway: StartGateway) -> None:
    gateway = new_gateway().started()
    worker = loaded_worker(gateway)
    form = {"data": {"language": "zh", "stream": "true"}, "files": {"file": ("a.wav", LONG)}}
    with gateway.http.stream("POST", TRANSCRIPTIONS, **form) as response:  # type: ignore[arg-type]
        lines = response.iter_lines()
        first = next(lines)
        worker.suspend()
        gateway.signal(signal.SIGTERM)
        gateway.event("server.draining")
        worker.resume()
        events = [json.loads(line.removeprefix("data: ")) for line in [first, *lines] if line]
    assert events[-1]["type"] == "transcript.text.done"
    assert gateway.wait() == 0


def test_gateway_told_to_stop_takes_an_upload_that_has_begun_to_its_end(new_gateway: StartGateway) -> None:
    gateway = new_gateway().started()
    loaded_worker(gateway)
    form: dict[str, Any] = {"data": {"language": "zh"}, "files": {"file": ("a.wav", SHORT)}}
    request = httpx.Request("POST", f"{gateway.url}{TRANSCRIPTIONS}", headers={"connection": "close"}, **form)
    body = request.read()
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    with socket.create_connection((request.url.host, request.url.port or 0)) as caller:
        caller.sendall(f"POST {TRANSCRIPTIONS} HTTP/1.1\r\n{head}\r\n".encode() + body[:1000])
        inside(gateway, 1)
        gateway.signal(signal.SIGTERM)
        gateway.event("server.draining")
        caller.sendall(body[1000:])
        answer = b"".join(iter(lambda: caller.recv(65_536), b""))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert gateway.wait() == 0


def test_gateway_told_to_stop_ends_in_time_though_a_request_does_not(new_gateway: StartGateway) -> None:
    gateway = new_gateway(
        {"VOXGATE_SERVER_DRAIN_TIMEOUT_S": "1", "VOXGATE_RESIDENCY_STOP_GRACE_S": "1"},
    ).started()
    loaded_worker(gateway).suspend()  # for ever
    answer = asked(gateway, SHORT)
    inside(gateway, 1)
    began_s = time.monotonic()
    gateway.signal(signal.SIGTERM)
    assert gateway.wait() == 0
    assert 1.0 <= time.monotonic() - began_s < 8.0
    refused = answer.result()
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "shutting_down")
    all_gone(gateway)


def test_gateway_beside_another_on_the_same_data_directory_refuses_and_the_other_serves_on(gateway: Gateway) -> None:
    command = [VOXGATE, "serve", "--port", "0"]
    second = subprocess.run(command, env=gateway.environ, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 1
    assert "edit_conflict" in second.stderr
    assert str(gateway.pid) in second.stderr
    assert "Traceback" not in second.stderr
    assert gateway.transcribe(SHORT, language="zh").is_success


def transcribed(gateway: Gateway, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command beside, or without, that gateway."""
    command = [VOXGATE, "transcribe", *arguments]
    return subprocess.run(command, env=gateway.environ, capture_output=True, text=True, timeout=120, check=False)


def test_transcribe_beside_a_gateway_uses_it(gateway: Gateway, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(SHORT)
    expected = gateway.transcribe(SHORT, language="zh").json()
    counted = gateway.metric("voxgate_transcripts_total", model="zh-general")
    command = transcribed(gateway, "--json", "--language", "zh", str(tmp_path / "a.wav"))
    assert command.returncode == 0, command.stderr
    answer = json.loads(command.stdout)
    assert answer["text"] == expected["text"]
    assert answer["version"] == expected["voxgate"]["version"]
    assert {"language", "language_confidence", "domain", "model", "duration_s", "stages_ms", "words"} <= answer.keys()
    assert gateway.metric("voxgate_transcripts_total", model="zh-general") == counted + 1


def test_transcribe_without_a_gateway_starts_its_own_and_leaves_nothing(
    new_gateway: StartGateway, tmp_path: Path
) -> None:
    alone = new_gateway()
    (tmp_path / "good.wav").write_bytes(SHORT)
    (tmp_path / "bad.wav").write_bytes(b"not audio at all" * 20)
    files = str(tmp_path / "good.wav"), str(tmp_path / "bad.wav")
    command = transcribed(alone, "--json", "--language", "zh", *files)
    good, bad = (json.loads(line) for line in command.stdout.splitlines())
    assert command.returncode == 1  # because of one of them
    assert good["text"]
    assert bad["error"] == "audio_undecodable"
    assert not alone.processes()
    assert not list(alone.data_dir.glob("*.sock"))


def test_transcribe_beside_a_gateway_that_is_starting_says_so(new_gateway: StartGateway, tmp_path: Path) -> None:
    gateway = new_gateway().launched()
    (tmp_path / "a.wav").write_bytes(SHORT)
    until((gateway.data_dir / "owner.lock").exists, "a gateway that owns its data")
    gateway.signal(signal.SIGSTOP)
    command = transcribed(gateway, "--language", "zh", str(tmp_path / "a.wav"))
    gateway.signal(signal.SIGCONT)
    assert command.returncode == 1
    assert "model_unavailable" in command.stderr
    assert "Traceback" not in command.stderr
    gateway.started()

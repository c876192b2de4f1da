"""`voxgate residency` against real servers: a gateway's control plane, something else, and nothing."""

import contextlib
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
import uvicorn
from litestar import Litestar, get
from litestar.types import ASGIApp

from admin.remote import Remote
from model_store.errors import KeyInvalid, KeyMissing, ModelUnavailable, VoxgateError
from model_store.residency.view import ResidencyView

VOXGATE = Path(sys.executable).with_name("voxgate")
Serve = Callable[[ASGIApp], str]
LEAVES_SCREEN = "\x1b[?1049l"  # the terminal's own contents come back


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves an application on a free port of this machine; gives its address."""
    with contextlib.ExitStack() as stack:
        yield lambda app: stack.enter_context(_served(app))


@contextlib.contextmanager
def _served(app: ASGIApp) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@get("/admin/v1/residency")
async def stranger() -> dict[str, str]:
    return {"hello": "there"}


def run(*arguments: str, key: str | None = None) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("VOXGATE_")}
    environ |= {"COLUMNS": "200"} | ({"VOXGATE_BOOTSTRAP_KEY": key} if key else {})
    command = [VOXGATE, "residency", *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)


def test_remote_without_a_key_reads_the_view_of_a_gateway_on_this_machine(plane, serve: Serve, view) -> None:
    assert Remote(serve(plane().app)).residency() == view


def test_remote_with_the_key_reads_the_view(plane, serve: Serve, view, key: str) -> None:
    assert Remote(serve(plane(key).app), key).residency() == view


@pytest.mark.parametrize(("said", "error"), [(None, KeyMissing), ("another", KeyInvalid)])
def test_remote_with_the_wrong_key_raises_what_the_gateway_says_and_where_the_key_belongs(
    plane, serve: Serve, key: str, said: str | None, error: type[VoxgateError]
) -> None:
    with pytest.raises(error) as caught:
        Remote(serve(plane(key).app), said).residency()
    assert "This command takes it from VOXGATE_BOOTSTRAP_KEY too." in caught.value.message


def test_remote_of_a_gateway_that_starts_raises_that(plane, serve: Serve) -> None:
    it = plane()
    it.failure = ModelUnavailable("The gateway is still starting.")
    with pytest.raises(ModelUnavailable, match="still starting"):
        Remote(serve(it.app)).residency()


@pytest.mark.parametrize("handlers", [[stranger], []])
def test_remote_of_something_else_says_that_it_is_no_gateway(serve: Serve, handlers: list) -> None:
    with pytest.raises(ModelUnavailable, match="no Voxgate gateway"):
        Remote(serve(Litestar(handlers))).residency()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "nonsense", "http://[", "ftp://127.0.0.1"])
def test_remote_where_nothing_answers_says_how_to_start_one(url: str) -> None:
    with pytest.raises(ModelUnavailable, match="voxgate serve"):
        Remote(url).residency()


def test_remote_sends_the_key_to_no_proxy_of_the_shell(plane, serve: Serve, view, key: str, monkeypatch) -> None:
    url = serve(plane(key).app)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert Remote(url, key).residency() == view


def test_command_once_prints_tables_and_json_one_object(plane, serve: Serve, view, key: str) -> None:
    url = serve(plane(key).app)
    once = run("--once", "--url", url, key=key)
    assert once.returncode == 0, once.stderr
    assert "zh-[general]" in once.stdout
    as_json = run("--json", "--url", url, key=key)
    assert msgspec.json.decode(as_json.stdout, type=ResidencyView) == view


def test_command_into_a_pipe_prints_once_and_ends(plane, serve: Serve) -> None:
    answer = run("--url", serve(plane().app))
    assert answer.returncode == 0
    assert answer.stdout.count("Residents") == 1


def test_command_in_a_terminal_is_renewed_until_it_is_interrupted(plane, serve: Serve) -> None:
    it = plane()
    screen, terminal = pty.openpty()
    command = [VOXGATE, "residency", "--url", serve(it.app)]
    environ = {**os.environ, "TERM": "xterm", "COLUMNS": "160", "LINES": "50"}
    process = subprocess.Popen(
        command, env=environ, stdin=terminal, stdout=terminal, stderr=terminal, preexec_fn=interruptible
    )
    os.close(terminal)
    try:
        shown_until(screen, "zh-[general]")
        it.failure = ModelUnavailable("The gateway is still starting.")
        shown_until(screen, "still starting")
        it.failure = None
        shown_until(screen, "zh-[general]")
        process.send_signal(signal.SIGINT)
        assert "Traceback" not in shown_until(screen, LEAVES_SCREEN)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        os.close(screen)


def interruptible() -> None:
    """As at a prompt: a shell's background jobs, tests among them, have it ignored and pass that on."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def shown_until(screen: int, told: str) -> str:
    """What the terminal was sent up to `told`; the test's own time limit ends the wait."""
    seen = ""
    while told not in seen:
        seen += os.read(screen, 65_536).decode(errors="replace")
    return seen


def test_command_without_a_gateway_is_one_line_without_a_traceback() -> None:
    answer = run("--once", "--url", "http://127.0.0.1:1")
    assert answer.returncode == 1
    assert answer.stderr.startswith("model_unavailable: No gateway answers at http://127.0.0.1:1.")
    assert "Traceback" not in answer.stderr


def test_command_help_names_its_options_and_the_variable_of_the_key() -> None:
    answer = run("--help")
    assert not [told for told in ("--url", "--once", "--json", "VOXGATE_BOOTSTRAP_KEY") if told not in answer.stdout]

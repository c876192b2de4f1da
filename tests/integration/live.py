"""A gateway as its users run it: `voxgate serve` in a process of its own, its log, its metrics, its processes."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

VOXGATE = Path(sys.executable).with_name("voxgate")
TRANSCRIPTIONS = "/v1/audio/transcriptions"
# A variable that all processes of one gateway inherit, by which they are found whoever their parent is by then.
_MARK = "TEST_OF_VOXGATE"
_START_S = 120.0
_END_S = 60.0
T = TypeVar("T")


def until(find: Callable[[], T], what: str, deadline_s: float = 30.0) -> T:
    """The first thing that `find` finds; the one place where a test may sleep."""
    ends_s = time.monotonic() + deadline_s
    while not (found := find()):
        if time.monotonic() > ends_s:
            raise AssertionError(f"{what}: not within {deadline_s:g} s")
        time.sleep(0.01)
    return found


def marked(mark: str) -> list[psutil.Process]:
    """Every live process of that mark, the oldest first."""
    return sorted(
        (process for process in psutil.process_iter() if _bears(process, mark)), key=psutil.Process.create_time
    )


def _bears(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(_MARK) == mark and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, OSError):
        return False


class Gateway:
    """One gateway on one data directory; `started` waits until it is ready, `ended` sees to it that nothing stays."""

    voxgate: ClassVar[Sequence[str | Path]] = (VOXGATE,)

    def __init__(self, data_dir: Path, environ: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir
        self.temporary = data_dir.with_name(f"{data_dir.name}-tmp")
        self.temporary.mkdir(exist_ok=True)
        self.mark = uuid.uuid4().hex
        self.environ = {
            **os.environ,
            "VOXGATE_SERVER_DATA_DIR": str(data_dir),
            "VOXGATE_SERVER_STARTER_MODELS": "false",
            "VOXGATE_RUNTIME_THREADS": "1",
            "TMPDIR": str(self.temporary),
            _MARK: self.mark,
            **(environ or {}),
        }
        self._log = data_dir.with_name(f"{data_dir.name}-{self.mark[:8]}.log")
        self._process: subprocess.Popen[bytes] | None = None

    def launched(self) -> Self:
        """Started, and not waited for."""
        with self._log.open("ab") as log:
            command = [*self.voxgate, "serve", "--port", "0"]
            self._process = subprocess.Popen(command, env=self.environ, stdin=subprocess.DEVNULL, stderr=log)
        return self

    def started(self) -> Self:
        """Started if it is not yet, and ready for requests."""
        if self._process is None:
            self.launched()
        self.url = str(self.event("server.listening", deadline_s=_START_S)["url"])
        self.http = httpx.Client(base_url=self.url, timeout=60.0)
        until(lambda: self.http.get("/readyz").is_success, "readiness", _START_S)
        return self

    # What it did ------------------------------------------------------------------------------------------------------

    def events(self, name: str) -> list[dict[str, Any]]:
        """The lines of its log with that event."""
        lines = self._log.read_text().splitlines()
        parsed = (json.loads(line) for line in lines if line.startswith("{") and line.endswith("}"))
        return [event for event in parsed if event["event"] == name]

    def event(self, name: str, *, number: int = 1, deadline_s: float = 30.0) -> dict[str, Any]:
        """The event of that name and number, waited for."""

        def find() -> list[dict[str, Any]]:
            assert self.is_running, f"the gateway ended before {name}:\n{self.log()}"
            return self.events(name)[number - 1 :]

        return until(find, name, deadline_s)[0]

    def log(self) -> str:
        """The end of its log, for a failure's message."""
        return self._log.read_text()[-4000:]

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples of that name that bear those labels."""
        families = text_string_to_metric_families(self.http.get("/metrics").text)
        samples = (sample for family in families for sample in family.samples if sample.name == name)
        return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())

    # What it asked ----------------------------------------------------------------------------------------------------

    def transcribe(self, audio: bytes, name: str = "a.wav", **fields: str) -> httpx.Response:
        """One upload."""
        return self.http.post(TRANSCRIPTIONS, files={"file": (name, audio)}, data=fields)

    # Its processes ----------------------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        """Of the gateway itself."""
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the gateway itself lives."""
        return self._process is not None and self._process.poll() is None

    def processes(self) -> list[psutil.Process]:
        """Every live process that it started, itself included, the oldest first."""
        return marked(self.mark)

    def fork_server(self) -> psutil.Process | None:
        """The newest process that workers are forked from."""
        return next((p for p in reversed(self._of_runtime()) if p.ppid() == self.pid), None)

    def workers(self) -> list[psutil.Process]:
        """Every live worker, the oldest first; also those whose fork server has died."""
        return [process for process in self._of_runtime() if process.ppid() != self.pid]

    def worker(self, *, than: int | None = None) -> psutil.Process:
        """The one worker that there is, waited for; another one `than` that process."""
        found = until(lambda: [process for process in self.workers() if process.pid != than], "a worker")
        assert len(found) == 1
        return found[0]

    def _of_runtime(self) -> list[psutil.Process]:
        return [process for process in self.processes() if _is_of_runtime(process)]

    # Its end ----------------------------------------------------------------------------------------------------------

    def signal(self, number: signal.Signals) -> None:
        """Send the gateway a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self, deadline_s: float = _END_S) -> int:
        """The exit code, once it has ended."""
        assert self._process is not None
        return self._process.wait(deadline_s)

    def ended(self) -> None:
        """Stop it as an operator does; asserts that it and all that it started have gone and left no file."""
        try:
            if self.is_running:
                self.signal(signal.SIGTERM)
                assert self.wait() == 0, self.log()
            assert not self.processes()
            assert not list(self.temporary.iterdir())
        finally:
            for process in self.processes():
                process.kill()


def copied(template: Path, target: Path) -> Path:
    """The data directory `template` again: its files, which never change, are linked, its database is copied."""
    shutil.copytree(template / "artifacts", target / "artifacts", copy_function=os.link)
    for file in template.iterdir():
        if file.is_file() and file.name != "owner.lock":
            shutil.copy(file, target)
    return target


def cpu_s(process: psutil.Process) -> float:
    """Seconds that a process has computed."""
    times = process.cpu_times()
    return float(times.user + times.system)


def _is_of_runtime(process: psutil.Process) -> bool:
    try:
        return "model_store.runtime.fork_server" in process.cmdline()
    except psutil.Error:
        return False


@contextlib.contextmanager
def sampled(measure: Callable[[], T], every_s: float = 0.05) -> Iterator[list[T]]:
    """What `measure` gives, again and again while this is open."""
    samples: list[T] = []
    done = threading.Event()

    def sample() -> None:
        while not done.wait(every_s):
            samples.append(measure())

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield samples
    finally:
        done.set()
        sampler.join()

"""The servers that stand side by side, each in processes of its own, ready for requests and with its model loaded."""

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import yaml

from gateway.bench.targets import ServerKind
from tests.bench.side.material import MODEL, NETWORK, Material, paddlespeech_environ, python_path
from tests.bench.side.ways import Way
from tests.integration.live import Gateway, copied, until

ONE_BY_ONE: Final = {"VOXGATE_DISPATCH_MAX_QUEUE_DELAY_S": "0", "VOXGATE_DISPATCH_MAX_BATCH": "1"}
_START_S: Final = 300.0


@dataclass(frozen=True)
class Server:
    """Where it listens, its first process, and the form fields of each request."""

    kind: ServerKind
    url: str
    pid: int
    fields: tuple[str, ...] = ()


@contextlib.contextmanager
def voxgate(material: Material, way: Way, folder: Path, environ: dict[str, str]) -> Iterator[Server]:
    """A gateway in `folder` with the default settings, but for the way to compute, and `environ`."""
    how = {"ENGINE": way.engine, "PRECISION": way.precision, "THREADS": "0"}
    settings = {f"VOXGATE_RUNTIME_{name}": value for name, value in how.items()}
    data_dir = copied(material.data_dir, folder / "data")
    gateway = Gateway(data_dir, python_path() | settings | environ).started()
    gateway.http.timeout = _START_S  # the first request waits for the load
    try:
        for clip in sorted(material.clips.iterdir())[:4]:
            gateway.transcribe(clip.read_bytes(), model=MODEL).raise_for_status()
        yield Server("voxgate", gateway.url, gateway.pid, (f"model={MODEL}",))
    finally:
        gateway.ended()


@contextlib.contextmanager
def paddlespeech(material: Material, folder: Path, environ: dict[str, str]) -> Iterator[Server]:
    """`paddlespeech_server` as its own documentation starts it, with the checkpoint."""
    port = _free_port()
    (folder / "application.yaml").write_text(yaml.safe_dump(_settings(port)))
    command = [sys.executable, "-W", "ignore", "-m", "tests.bench.side.paddlespeech", "start", "--config_file"]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, str(folder / "application.yaml")],
            cwd=material.archive,
            env=paddlespeech_environ(folder) | environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: _answers(process, url, folder / "server.log"), "PaddleSpeech's server", _START_S)
        yield Server("paddlespeech", url, process.pid)
    finally:
        process.terminate()
        process.wait()


def _settings(port: int) -> dict[str, object]:
    """Its conf/application.yaml, with a model from a path; paths are relative to the archive."""
    engine = {
        "model": NETWORK.tag,
        "lang": NETWORK.language,
        "sample_rate": 16000,
        "cfg_path": "model.yaml",
        "ckpt_path": NETWORK.checkpoint,
        "decode_method": "attention_rescoring",
        "num_decoding_left_chunks": -1,
        "force_yes": True,
        "device": "cpu",
    }
    return {"host": "127.0.0.1", "port": port, "protocol": "http", "engine_list": ["asr_python"], "asr_python": engine}


def _answers(process: subprocess.Popen[bytes], url: str, log: Path) -> bool:
    assert process.poll() is None, f"PaddleSpeech's server ended:\n{log.read_text(errors='replace')[-4000:]}"
    try:
        return httpx.get(f"{url}/paddlespeech/asr/help", trust_env=False).is_success
    except httpx.TransportError:
        return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        return int(bound.getsockname()[1])

"""What real gateways are put through: by the tests for a while, by `make soak` for as long as the bars say."""

import contextlib
import random
import socket
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil

from tests.integration.live import TRANSCRIPTIONS, Gateway, until
from tests.integration.sound import speech, wav

RESIDENCY = "/admin/v1/residency"
MIB = 2**20
SHORT = wav(speech(0.9))  # in a shape that every warm-up covers
Ask = dict[str, str]


def asks(languages: Sequence[str]) -> list[Ask]:
    """The form of a request for each of some languages."""
    return [{"language": language} for language in languages]


def together(gateway: Gateway, wanted: Sequence[Ask]) -> list[httpx.Response]:
    """All requests at the same time, each over a connection of its own."""
    http = httpx.Client(base_url=gateway.url, timeout=300.0, limits=httpx.Limits(max_connections=None))
    with http, ThreadPoolExecutor(len(wanted)) as callers:
        return list(callers.map(lambda ask: http.post(TRANSCRIPTIONS, data=ask, files=_files()), wanted))


def _files() -> dict[str, tuple[str, bytes]]:
    return {"file": ("a.wav", SHORT)}


def inside(gateway: Gateway, count: int) -> None:
    """Wait until so many requests are being answered, beside the one that asks."""
    until(lambda: gateway.metric("voxgate_requests_in_flight") == count, f"{count} requests in flight", 120.0)


def sent(gateway: Gateway, wanted: Sequence[Ask]) -> list[socket.socket]:
    """Requests that were sent whole, as the sockets that wait for the answers."""
    return [_sent(httpx.Request("POST", f"{gateway.url}{TRANSCRIPTIONS}", data=ask, files=_files())) for ask in wanted]


def _sent(request: httpx.Request) -> socket.socket:
    body = request.read()
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    caller = socket.create_connection((request.url.host, request.url.port or 0))
    caller.sendall(f"POST {request.url.path} HTTP/1.1\r\n{head}\r\n".encode() + body)
    return caller


@contextlib.contextmanager
def loading(gateway: Gateway, ask: Ask) -> Iterator[tuple[psutil.Process, Future[httpx.Response]]]:
    """A worker that has just begun to load, and the answer to the request that wanted it, which must be a good one."""
    before = {worker.pid for worker in gateway.workers()}
    with ThreadPoolExecutor(1) as caller:
        answer = caller.submit(gateway.transcribe, SHORT, **ask)
        (worker,) = until(lambda: [one for one in gateway.workers() if one.pid not in before], "a loading worker")
        yield worker, answer
        answer.result().raise_for_status()


@contextlib.contextmanager
def halted(gateway: Gateway, ask: Ask) -> Iterator[None]:
    """A load that goes no further while this is open; the request that wanted it is answered in the end."""
    with loading(gateway, ask) as (worker, _):
        worker.suspend()
        try:
            yield
        finally:
            worker.resume()


@contextlib.contextmanager
def traffic(gateway: Gateway, wanted: Sequence[Ask], pause_s: float = 0.2) -> Iterator[list[httpx.Response]]:
    """A caller for each of these, one request after the other while this is open; their answers."""
    answers: list[httpx.Response] = []
    done = threading.Event()

    def call(ask: Ask) -> None:
        while not done.wait(pause_s):
            answers.append(gateway.transcribe(SHORT, **ask))

    with ThreadPoolExecutor(len(wanted)) as callers:
        calls = [callers.submit(call, ask) for ask in wanted]
        try:
            yield answers
        finally:
            done.set()
        for one in calls:
            one.result()


def written_bytes(worker: psutil.Process) -> int:
    """What a worker wrote and shares with nobody, by psutil's list of its mappings."""
    return sum(int(mapped.private_dirty) for mapped in worker.memory_maps())


def most_written_bytes(worker: psutil.Process) -> int:
    """The most that it was since the worker last asked the kernel: what a run takes and frees is not missed.

    The kernel keeps the most resident bytes; what is shared now was shared then.
    """
    status, rollup = (_kernel_sizes(worker, file) for file in ("status", "smaps_rollup"))
    shared = rollup["Rss"] - rollup["Private_Dirty"]
    return max(rollup["Private_Dirty"], status["VmHWM"] - shared)


def _kernel_sizes(process: psutil.Process, file: str) -> dict[str, int]:
    lines = Path(f"/proc/{process.pid}/{file}").read_text().splitlines()
    return {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.endswith("kB")}


def residents(gateway: Gateway) -> dict[str, dict[str, Any]]:
    """What the gateway shows of its residents, by model; of two of one model, of the newer."""
    view = gateway.http.get(RESIDENCY).raise_for_status().json()
    return {resident["model"]: resident for resident in view["residents"]}


@dataclass(frozen=True)
class Growth:
    """Resident bytes of the gateway and of its fork server, cycle by cycle."""

    gateway: list[int]
    fork_server: list[int]

    def since(self, cycle: int) -> tuple[int, int]:
        """By how much the most that each took later passes the most that it took in so many cycles."""
        gateway, server = (max(taken[cycle:]) - max(taken[:cycle]) for taken in (self.gateway, self.fork_server))
        return gateway, server


def cycled(gateway: Gateway, wanted: Sequence[Ask], cycles: int) -> Growth:
    """Load, infer and evict, in turn, on a gateway that keeps nobody who is idle."""
    server = gateway.fork_server()
    assert server is not None
    growth = Growth([], [])
    for cycle in range(cycles):
        answer = gateway.transcribe(SHORT, **wanted[cycle % len(wanted)])
        assert answer.is_success, answer.text
        assert answer.json()["voxgate"]["is_cold"]
        growth.gateway.append(int(psutil.Process(gateway.pid).memory_info().rss))
        growth.fork_server.append(int(server.memory_info().rss))
    return growth


def worked(gateway: Gateway, ask: Ask, requests: int, every: int = 10) -> list[int]:
    """What the one worker takes after every so many requests of mixed length, from 0.4 to 29 s."""
    rng = random.Random(5)
    clips = [wav(speech(seconds)) for seconds in np.geomspace(0.4, 29.0, 24)]
    assert gateway.transcribe(SHORT, **ask).is_success
    worker, taken = gateway.worker(), []
    for number in range(1, requests + 1):
        assert gateway.transcribe(rng.choice(clips), **ask).is_success
        if number % every == 0:
            taken.append(written_bytes(worker))
    return taken


def damaged(gateway: Gateway, language: str) -> None:
    """Make the weights of a model's graph another file: its links in other data directories stay sound."""
    models = gateway.http.get("/v1/models").json()["data"]
    (version,) = (model["voxgate"]["version"] for model in models if model["id"] == f"{language}-general")
    (weights,) = (gateway.data_dir / "artifacts" / "graphs").glob(f"{version}*/*/encoder.pdiparams")
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 0xFF
    weights.unlink()
    weights.write_bytes(data)

"""A closed loop against a server, by the parts of `voxgate bench`, and what each process takes of a core meanwhile."""

import asyncio
import functools
import os
import time
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import psutil

from gateway.bench.address import Address
from gateway.bench.figures import Percentiles, Run
from gateway.bench.loop import Load
from gateway.bench.recordings import Clip, clips_of
from gateway.bench.session import Order, measure
from gateway.bench.targets import TARGETS, request_bytes
from tests.integration.live import cpu_s

CLIP_S: Final = 3.0
GENERATOR: Final = "generator"
_TIMEOUT_S: Final = 30.0


class Taken(NamedTuple):
    """One run; `cores`: by the name of a process, what it took of a core."""

    requests_per_s: float
    latency_ms: Percentiles
    cores: dict[str, float]

    def ms_each(self, name: str) -> float:
        """Milliseconds of a core that a process took for one request."""
        return 1000 * self.cores[name] / self.requests_per_s


@functools.cache
def clips() -> list[Clip]:
    """Of the bundled Mandarin samples, joined end to end: WAV of 16 kHz, 16 bits, mono."""
    return [clip for clip in clips_of([], cut_s=[CLIP_S]) if clip.language == "zh"]


def driven(
    url: str,
    processes: Mapping[str, Sequence[psutil.Process]],
    *,
    clients: int,
    seconds: float,
    warm_up_s: float = 0.5,
    language: str | None = "zh",
) -> Taken:
    """Figures of one run, of which every request must have been answered."""
    target, address, sent = TARGETS["voxgate"], Address.of_url(url), clips()
    fields = [("language", language)] if language else []
    order = Order(
        target=target,
        address=address,
        clips=sent,
        requests=[request_bytes(target, address, clip, fields, []) for clip in sent],
        loads=[Load(clients=clients, seconds=seconds, warm_up_s=warm_up_s)],
        deadline_s=None,
        timeout_s=_TIMEOUT_S,
        pid=None,
    )
    named = {**processes, GENERATOR: [psutil.Process(os.getpid())]}
    runs: list[Run] = []
    began_s, before = time.perf_counter(), _cpu_s(named)
    asyncio.run(measure(order, asyncio.Event(), lambda _: None, runs.append))
    took_s, after = time.perf_counter() - began_s, _cpu_s(named)
    (run,) = runs
    assert run.latency_ms is not None
    assert not run.errors, run.error_messages
    cores = {name: (after[name] - before[name]) / took_s for name in named}
    return Taken(run.requests_per_s, run.latency_ms, cores)


def _cpu_s(named: Mapping[str, Sequence[psutil.Process]]) -> dict[str, float]:
    return {name: sum(map(cpu_s, processes)) for name, processes in named.items()}

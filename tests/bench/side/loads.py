"""Clients before a server: `voxgate bench` in this process, and what the server holds meanwhile."""

import asyncio
import math
import sys
from collections.abc import Sequence
from typing import Final

import msgspec
import psutil

from gateway.bench.address import Address
from gateway.bench.figures import Run
from gateway.bench.orders import order_of
from gateway.bench.session import measure
from tests.bench.side.material import Material
from tests.bench.side.servers import Server
from tests.options import PLAIN


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """So many clients, each with a request on its way: until `seconds`, or a number of `requests`, after a warm-up."""

    clients: int
    warm_up_s: float
    seconds: float | None = None
    requests: int | None = None


class Row(msgspec.Struct, frozen=True):
    """One run. `resident_bytes` is the sum over the server's processes: what they share counts in each."""

    contender: str
    run: Run
    resident_bytes: int


FAST: Final = (
    Level(clients=1, warm_up_s=1.0, seconds=8.0),
    Level(clients=4, warm_up_s=2.0, seconds=8.0),
    Level(clients=16, warm_up_s=4.0, seconds=12.0),
    Level(clients=64, warm_up_s=8.0, seconds=14.0),
)
# It takes seconds for an answer: each client asks once or twice, and from the start of a run to its last answer counts.
SLOW: Final = (
    Level(clients=1, warm_up_s=0.1, requests=6),
    Level(clients=4, warm_up_s=0.0, requests=8),
    Level(clients=16, warm_up_s=0.0, requests=16),
    Level(clients=64, warm_up_s=0.0, requests=64),
)


def rows(contender: str, server: Server, material: Material, levels: Sequence[Level]) -> list[Row]:
    """A run for each level."""
    found = []
    for level in levels:
        row = Row(contender, run(server, material, level), _resident_bytes(server.pid))
        p50_ms = row.run.latency_ms.p50 if row.run.latency_ms else math.nan
        told = f"{contender}, {level.clients} clients: {p50_ms:.0f} ms, {row.run.requests_per_s:.2f}/s"
        print(told, file=sys.stderr, flush=True)
        found.append(row)
    return found


def run(server: Server, material: Material, level: Level) -> Run:
    """What comes of one level."""
    fields = msgspec.structs.asdict(level) | {"clients": str(level.clients)}
    said = msgspec.structs.replace(
        PLAIN, server=server.kind, files=[material.clips], fields=list(server.fields), **fields
    )
    order = order_of(said, Address.of_url(server.url), server.pid)
    found: list[Run] = []
    asyncio.run(measure(order, asyncio.Event(), lambda _told: None, found.append))
    return found[0]


def _resident_bytes(pid: int) -> int:
    root = psutil.Process(pid)
    return sum(process.memory_info().rss for process in [root, *root.children(recursive=True)])

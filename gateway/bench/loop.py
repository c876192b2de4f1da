"""The two kinds of load: callers who wait for an answer before they ask again, and callers who do not wait.

Closed loop: so many clients, each with one request on its way at any moment. A slow server is asked less, so what its
latencies would be at a given demand is not to be learnt here; how much it can do at most is.

Open loop: requests are due at times that were drawn before, whatever the server does. One that goes out late (no free
connection, or the generator itself behind) has its latency counted from when it was due: what callers would have
waited is not hidden by the generator having waited for the server (coordinated omission).
"""

import asyncio
import contextlib
import itertools
import math
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from msgspec import Struct

from gateway.bench.arrivals import Arrivals, due_times
from gateway.bench.meter import Meter
from gateway.bench.outcomes import Outcome

# Sends the next request, which was due then.
Send = Callable[[float], Awaitable[Outcome]]

# A client of a closed loop that was refused takes a breath: refusals come in no time, and would be a load of their own.
_BREATH_S: Final = 0.1


class Demand(Struct, frozen=True):
    """Of an open loop."""

    rate_hz: float
    arrivals: Arrivals


class Load(Struct, frozen=True, kw_only=True):
    """One run: a closed loop of so many `clients`, or an open one of that `demand`; until `seconds` or `requests`."""

    clients: int = 0
    demand: Demand | None = None
    seconds: float | None = None
    requests: int = 0
    warm_up_s: float = 0.0
    seed: int = 0

    @property
    def shown(self) -> str:
        """As people say it."""
        if self.demand is not None:
            return f"{self.demand.rate_hz:g}/s {self.demand.arrivals}"
        return f"{self.clients} client{'s' if self.clients != 1 else ''}"


async def drive(load: Load, send: Send, meter: Meter) -> None:
    """Run a load to its last answer, and tell the meter when the part that counts begins and ends.

    By seconds, the clients of a closed loop go from the warm-up into what counts without a pause. By requests, the
    warm-up's answers are waited for first, so that exactly those that count are inside.
    """
    now_s = time.perf_counter()
    start_s = now_s + load.warm_up_s
    if load.seconds is not None:
        end_s = start_s + load.seconds
        with _told(meter, start_s, end_s):
            if load.demand is None:
                await _clients(load, send, lambda: time.perf_counter() < end_s)
            else:
                await _arriving(itertools.takewhile(end_s.__gt__, _due(load.demand, load.seed, now_s)), send)
            await asyncio.sleep(end_s - time.perf_counter())
            meter.end(end_s)
    elif load.demand is None:
        await _clients(load, send, lambda: time.perf_counter() < start_s)
        meter.begin(time.perf_counter())
        tickets = iter(range(load.requests))
        await _clients(load, send, lambda: next(tickets, None) is not None)
    else:
        with _told(meter, start_s):
            await _arriving(_counted(_due(load.demand, load.seed, now_s), start_s, load.requests), send)
    meter.end(time.perf_counter())


@contextlib.contextmanager
def _told(meter: Meter, start_s: float, end_s: float = math.inf) -> Iterator[None]:
    """Tells at these times, as long as this is open."""
    loop, now_s = asyncio.get_running_loop(), time.perf_counter()
    timers = [loop.call_later(start_s - now_s, meter.begin, start_s)]
    if end_s < math.inf:
        timers.append(loop.call_later(end_s - now_s, meter.end, end_s))
    try:
        yield
    finally:
        for timer in timers:
            timer.cancel()


async def _clients(load: Load, send: Send, may_go_on: Callable[[], bool]) -> None:
    async def client() -> None:
        while may_go_on():
            outcome = await send(time.perf_counter())
            if outcome.code is not None:
                await asyncio.sleep(_BREATH_S)

    async with asyncio.TaskGroup() as clients:
        for _ in range(load.clients):
            clients.create_task(client())


def _due(demand: Demand, seed: int, zero_s: float) -> Iterator[float]:
    return (zero_s + at_s for at_s in due_times(demand.arrivals, demand.rate_hz, seed))


def _counted(due: Iterator[float], start_s: float, requests: int) -> Iterator[float]:
    """Those of the warm-up, and so many after it."""
    for at_s in due:
        requests -= at_s >= start_s
        if requests < 0:
            return
        yield at_s


async def _arriving(due: Iterator[float], send: Send) -> None:
    async with asyncio.TaskGroup() as sent:
        for due_s in due:
            await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
            sent.create_task(_sent(send, due_s))


async def _sent(send: Send, due_s: float) -> None:
    await send(due_s)

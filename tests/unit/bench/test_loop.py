"""How requests are sent: by clients who wait for their answer, and at times that were drawn before."""

import asyncio
import itertools
import time

import pytest

from gateway.bench.arrivals import due_times
from gateway.bench.loop import Demand, Load, drive
from gateway.bench.meter import Meter
from gateway.bench.outcomes import Outcome

CONSTANT = Demand(200.0, "constant")


class Caller:
    """Answers at once, or when told to; keeps what was due, and how many waited at the same time."""

    def __init__(self, *, code: str | None = None, gate: asyncio.Event | None = None, expects: int = 0) -> None:
        self.due: list[float] = []
        self.most = self._inside = 0
        self._code = code
        self._gate = gate
        self._expects = expects
        self.has_all = asyncio.Event()

    async def send(self, due_s: float) -> Outcome:
        self.due.append(due_s)
        if len(self.due) == self._expects:
            self.has_all.set()
        self._inside += 1
        self.most = max(self.most, self._inside)
        if self._gate:
            await self._gate.wait()
        await asyncio.sleep(0)
        self._inside -= 1
        now_s = time.perf_counter()
        return Outcome(due_s=due_s, sent_s=due_s, ended_s=now_s, audio_s=1.0, code=self._code)


async def test_closed_loop_has_a_request_per_client_on_its_way() -> None:
    caller = Caller()
    await drive(Load(clients=5, requests=37), caller.send, Meter(None))
    assert (caller.most, len(caller.due)) == (5, 37)


async def test_closed_loop_waits_for_answers_before_it_asks_again() -> None:
    gate = asyncio.Event()
    caller = Caller(gate=gate, expects=3)
    driving = asyncio.create_task(drive(Load(clients=3, requests=9), caller.send, Meter(None)))
    await caller.has_all.wait()
    await asyncio.sleep(0)
    assert len(caller.due) == 3
    gate.set()
    await driving
    assert len(caller.due) == 9


async def test_closed_loop_by_seconds_counts_just_those_and_its_warm_up_goes_before() -> None:
    caller, meter = Caller(), Meter(None)
    began_s = time.perf_counter()
    await drive(Load(clients=2, seconds=0.2, warm_up_s=0.1), caller.send, meter)
    assert meter.window.duration_s == pytest.approx(0.2)
    assert meter.window.start_s >= began_s + 0.1
    assert min(caller.due) < meter.window.start_s < max(caller.due) < meter.window.end_s + 0.01


async def test_closed_loop_by_requests_counts_exactly_those_after_its_warm_up() -> None:
    caller, meter = Caller(), Meter(None)
    await drive(Load(clients=4, requests=10, warm_up_s=0.05), caller.send, meter)
    assert sum(due_s in meter.window for due_s in caller.due) == 10
    assert len(caller.due) > 10


async def test_closed_loop_that_is_refused_does_not_ask_as_fast_as_it_can() -> None:
    caller = Caller(code="queue_full")
    await drive(Load(clients=2, seconds=0.25), caller.send, Meter(None))
    assert len(caller.due) <= 2 * 3


async def test_open_loop_sends_when_due_whether_answers_come_or_not() -> None:
    gate = asyncio.Event()
    caller = Caller(gate=gate, expects=20)
    driving = asyncio.create_task(drive(Load(demand=CONSTANT, requests=20), caller.send, Meter(None)))
    await caller.has_all.wait()
    assert caller.most == 20
    gate.set()
    await driving


async def test_open_loop_is_due_at_the_times_that_were_drawn() -> None:
    caller, meter = Caller(), Meter(None)
    load = Load(demand=Demand(300.0, "poisson"), requests=30, seed=4)
    began_s = time.perf_counter()
    await drive(load, caller.send, meter)
    drawn = list(itertools.islice(due_times("poisson", 300.0, 4), 30))
    assert [due_s - caller.due[0] for due_s in caller.due] == pytest.approx([at_s - drawn[0] for at_s in drawn])
    assert caller.due[0] >= began_s


async def test_open_loop_that_fell_behind_keeps_what_was_due() -> None:
    caller, meter = Caller(), Meter(None)
    original = caller.send

    async def blocking(due_s: float) -> Outcome:
        while not caller.due and time.perf_counter() < due_s + 0.1:
            pass  # the generator itself is held up
        return await original(due_s)

    await drive(Load(demand=CONSTANT, requests=20), blocking, meter)
    gaps = [later - sooner for sooner, later in itertools.pairwise(caller.due)]
    assert gaps == pytest.approx([1 / CONSTANT.rate_hz] * 19)


async def test_open_loop_by_requests_counts_exactly_those_after_its_warm_up() -> None:
    caller, meter = Caller(), Meter(None)
    await drive(Load(demand=CONSTANT, requests=10, warm_up_s=0.1), caller.send, meter)
    assert sum(due_s in meter.window for due_s in caller.due) == 10
    assert len(caller.due) == pytest.approx(30, abs=1)


async def test_open_loop_by_seconds_goes_on_to_its_end() -> None:
    caller, meter = Caller(), Meter(None)
    await drive(Load(demand=Demand(30.0, "constant"), seconds=0.2, warm_up_s=0.1), caller.send, meter)
    assert time.perf_counter() >= meter.window.end_s
    assert meter.window.duration_s == pytest.approx(0.2)
    assert len(caller.due) == pytest.approx(9, abs=1)

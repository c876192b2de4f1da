"""A whole measurement: the requests made, then one run after another over them, until all are done or it is stopped."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, Final

from msgspec import Struct

from gateway.bench.address import Address
from gateway.bench.arrivals import in_rounds
from gateway.bench.connections import UNREACHABLE, Connections, Unanswered, connections
from gateway.bench.figures import Run, Taken, run_of
from gateway.bench.loop import Load, drive
from gateway.bench.meter import Meter, Server
from gateway.bench.outcomes import Outcome
from gateway.bench.recordings import Clip
from gateway.bench.targets import Answer, Target
from model_store.errors import ModelUnavailable, OptionInvalid, VoxgateError, by_code, leaves

# Nothing that differs from request to request: whoever hears one of these first will hear it every time.
_HOPELESS: Final = frozenset({400, 401, 403, 404, 405})
# A server that restarts comes back sooner; one that does not will have no more figures.
_GONE_AFTER_S: Final = 10.0

Tell = Callable[[str], None]


class Order(Struct, frozen=True, kw_only=True):
    """What is to be measured. `requests` are the bytes that ask for the clips."""

    target: Target
    address: Address
    clips: Sequence[Clip]
    requests: Sequence[bytes]
    loads: Sequence[Load]
    deadline_s: float | None
    timeout_s: float
    pid: int | None


async def measure(order: Order, stop: asyncio.Event, tell: Tell, done: Callable[[Run], None]) -> None:
    """Run all loads, each told to `done` when it is over; once `stop` is set, the one that runs is the last.

    Raises ModelUnavailable where no server listens, or none any more, after `done`; and the server's own error, or
    OptionInvalid, where it takes no request of this kind.
    """
    async with connections(order.address, order.timeout_s) as pool:
        for number, load in enumerate(order.loads):
            if not stop.is_set():
                tell(f"{load.shown}: {_plan(load)} ...")
                await _run(order, load, pool, stop, done, is_first=number == 0)


def _plan(load: Load) -> str:
    counted = f"{load.seconds:g} s" if load.seconds is not None else f"{load.requests} requests"
    return f"{load.warm_up_s:g} s of warm-up, then {counted}" if load.warm_up_s else counted


async def _run(
    order: Order, load: Load, pool: Connections, stop: asyncio.Event, done: Callable[[Run], None], *, is_first: bool
) -> None:
    caller = _Caller(order, pool, in_rounds(len(order.clips), load.seed), is_first=is_first)
    meter = Meter(Server(order.pid) if order.pid is not None else None)
    async with meter.watching():
        await _until(drive(load, caller.send, meter), stop, caller.is_hopeless)
        meter.end(time.perf_counter())
    if caller.refusal is not None:
        raise _refused(order, caller.refusal)
    taken = Taken(
        load=load,
        window=meter.window,
        cpu_s=meter.cpu_s,
        server=meter.server_use(),
        unanswered=caller.sent - len(caller.outcomes),
        error_messages=caller.messages,
        is_interrupted=stop.is_set() or caller.is_hopeless.is_set(),
    )
    done(run_of(caller.outcomes, taken, order.deadline_s))
    if caller.is_hopeless.is_set():
        told = f"The server at {order.address.shown} could not be reached for {_GONE_AFTER_S:g} s"
        raise ModelUnavailable(f"{told}; the figures are from before.")


class _Caller:
    """Sends the clips in their order, and keeps what became of them."""

    def __init__(self, order: Order, pool: Connections, turns: Iterator[int], *, is_first: bool) -> None:
        self._order = order
        self._pool = pool
        self._turns = turns
        self._has_worked = not is_first
        self.outcomes: list[Outcome] = []
        self.messages: dict[str, str] = {}
        self.sent = 0
        self._unreachable_since_s: float | None = None
        self.is_hopeless = asyncio.Event()
        self.refusal: tuple[int, Answer] | None = None

    async def send(self, due_s: float) -> Outcome:
        """Send the next clip and wait for what comes of it."""
        turn = next(self._turns)
        self.sent += 1
        sent_s = time.perf_counter()
        status = 0
        try:
            response = await self._pool.ask(self._order.requests[turn])
        except Unanswered as unanswered:
            ended_s = time.perf_counter()
            answer = Answer(code=unanswered.code)
        else:
            ended_s = time.perf_counter()
            status = response.status
            answer = self._order.target.answer(response)
        self._note(status, answer, ended_s)
        clip = self._order.clips[turn]
        outcome = Outcome(
            due_s=due_s,
            sent_s=sent_s,
            ended_s=ended_s,
            audio_s=clip.duration_s,
            code=answer.code,
            is_right=None if clip.text is None else clip.text.split() == answer.text.split(),
            is_cold=answer.is_cold,
            stages_ms=answer.stages_ms,
        )
        self.outcomes.append(outcome)
        return outcome

    def _note(self, status: int, answer: Answer, at_s: float) -> None:
        if answer.code is not None and answer.message:
            self.messages.setdefault(answer.code, answer.message)
        if not self._has_worked and status in _HOPELESS:
            self.refusal = status, answer
            self.is_hopeless.set()
        self._has_worked = True
        if answer.code != UNREACHABLE:
            self._unreachable_since_s = None
        elif self._unreachable_since_s is None:
            self._unreachable_since_s = at_s
        elif at_s > self._unreachable_since_s + _GONE_AFTER_S:
            self.is_hopeless.set()


def _refused(order: Order, refusal: tuple[int, Answer]) -> VoxgateError:
    status, answer = refusal
    if answer.code in {leaf.code for leaf in leaves()}:
        return by_code(str(answer.code), f"Every request is refused: {answer.message}")
    told = f"What answers at {order.address.shown} says {status} to {order.target.kind}'s protocol. {answer.message}"
    return OptionInvalid(f"{told.strip()} `--server` says what kind of server it is.", param="server")


async def _until(work: Coroutine[Any, Any, None], *events: asyncio.Event) -> None:
    """Do the work, or as much of it as there is until one of the events."""
    working = asyncio.ensure_future(work)
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait([working, *waiting], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (working, *waiting):
            task.cancel()
        outcomes = await asyncio.gather(working, *waiting, return_exceptions=True)
    if isinstance(outcomes[0], Exception):
        raise outcomes[0]

"""The queue of dispatch on a virtual clock, before workers that are made up: the one of production, unchanged.

A made-up batch takes a*n + b, n its audio with padding, times some noise; now and then one takes several times as long.
The simulator does what the dispatcher does with leases and tasks: it pulls when a worker is free and something waits.
"""

import heapq
import itertools
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from gateway.dispatch.batches import Batch
from gateway.dispatch.jobs import Urgency, Waiting
from gateway.dispatch.queues import VersionQueue
from gateway.dispatch.settings import DispatchSettings
from model_store.errors import DeadlineExceeded, VoxgateError


@dataclass(frozen=True)
class Cost:
    """What batches take: a, b, the spread of the noise, and how many in a hundred are slow."""

    per_second: float
    fixed_s: float
    spread: float = 0.1
    slow_percent: float = 1.0


# Rounded from tests/bench/RESULTS.md (both on two cores); the last is what a large GPU may be like.
STARTER = Cost(0.008, 0.005)
FULL = Cost(0.035, 0.015)
GPU = Cost(0.0005, 0.02)
COSTS = (STARTER, FULL, GPU)


@dataclass(eq=False, kw_only=True)
class Request(Waiting):
    """A job and what became of it."""

    then: Callable[["Request"], object] | None = None
    began_s: float = 0.0
    answered_s: float | None = None
    share_s: float = 0.0
    error: VoxgateError | None = None

    @property
    def latency_s(self) -> float:
        """From the asking to the answer."""
        assert self.answered_s is not None
        return self.answered_s - self.queued_s


@dataclass
class Figures:
    """What was counted."""

    answered: list[Request] = field(default_factory=list)
    refused: list[Request] = field(default_factory=list)
    batches: list[tuple[Batch[Request], float]] = field(default_factory=list)

    def latencies(self, tenant: str | None = None, *, but: str | None = None, after_s: float = 0.0) -> list[float]:
        """Of one tenant, or of all but one; of those that came after a while."""
        return [
            request.latency_s
            for request in self.answered
            if request.queued_s >= after_s and request.tenant != but and tenant in (None, request.tenant)
        ]

    def served_s(self, after_s: float = 0.0) -> dict[str | None, float]:
        """Seconds of compute by tenant."""
        served: dict[str | None, float] = {}
        for request in self.answered:
            if request.began_s >= after_s:
                served[request.tenant] = served.get(request.tenant, 0.0) + request.share_s
        return served

    @property
    def padding(self) -> float:
        """Share of what was computed."""
        padded_s = sum(batch.padded_s for batch, _ in self.batches)
        return sum(batch.padding_s for batch, _ in self.batches) / padded_s


class Simulator:
    """A clock, a heap of what will happen, and the figures of what did."""

    def __init__(self, cost: Cost, settings: DispatchSettings | None = None, workers: int = 1, seed: int = 0) -> None:
        self.queue: VersionQueue[Request] = VersionQueue(settings or DispatchSettings())
        self.random = random.Random(seed)
        self._seed = seed
        self.now_s = 0.0
        self.figures = Figures()
        self._cost = cost
        self._workers = workers
        self._free = workers
        self._waits_until_s: float | None = None
        self._agenda: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()

    def after(self, seconds: float, what: Callable[[], object]) -> None:
        """Have something happen then."""
        heapq.heappush(self._agenda, (self.now_s + seconds, next(self._numbers), what))

    def run(self, until_s: float = float("inf")) -> "Simulator":
        """Let time pass; until nothing happens any more if no time is said."""
        while self._agenda and self._agenda[0][0] <= until_s:
            self.now_s, _, what = heapq.heappop(self._agenda)
            what()
        return self

    def ask(
        self,
        seconds: float,
        tenant: str | None = None,
        urgency: Urgency = Urgency.INTERACTIVE,
        *,
        timeout_s: float | None = None,
        is_begun: bool = False,
        then: Callable[[Request], object] | None = None,
    ) -> Request:
        """Want so much audio recognised, now."""
        deadline_s = None if timeout_s is None else self.now_s + timeout_s
        request = Request(
            seconds=seconds,
            queued_s=self.now_s,
            tenant=tenant,
            urgency=urgency,
            deadline_s=deadline_s,
            is_begun=is_begun,
            then=then,
        )
        if error := self.queue.refusal(request, self.now_s, self._workers):
            self._refuse(request, error)
        else:
            self.queue.put(request, self.now_s)
            self._pull()
        return request

    def cancel(self, request: Request) -> None:
        """Nobody wants it any more."""
        self.queue.remove(request)

    # What users do ----------------------------------------------------------------------------------------------------

    def comes(self, tenant: str | None, per_s: float, seconds: tuple[float, float], until_s: float) -> None:
        """Requests of a tenant at random times and of random lengths, the same whatever others do."""
        chance = random.Random(f"{self._seed} {tenant}")

        def one() -> None:
            if self.now_s < until_s:
                self.ask(chance.uniform(*seconds), tenant)
                self.after(chance.expovariate(per_s), one)

        self.after(chance.expovariate(per_s), one)

    def client(self, tenant: str | None, seconds: float, think_s: float, until_s: float) -> None:
        """Somebody who sends the next request a moment after each answer."""

        def one(_: Request | None = None) -> None:
            if self.now_s < until_s:
                self.after(think_s * self.random.uniform(0.5, 1.5), lambda: self.ask(seconds, tenant, then=one))

        one()

    def recording(self, tenant: str | None, segments: Iterable[float], in_flight: int = 16) -> None:
        """A long recording, as the pipeline sends it: its segments in order, some ahead of the one waited for."""
        left = iter(segments)

        def one(before: Request | None = None) -> None:
            if (seconds := next(left, None)) is not None:
                self.ask(seconds, tenant, Urgency.BULK, is_begun=before is not None, then=one)

        for _ in range(in_flight):
            one()

    # What the world does ----------------------------------------------------------------------------------------------

    def _pull(self) -> None:
        while self._free and len(self.queue):
            for late in self.queue.take_late(self.now_s):
                self._refuse(late, DeadlineExceeded("late"))
            if self._is_waiting():
                return
            if (batch := self.queue.take_batch(self.now_s)) is None:
                return
            self._free -= 1
            self._compute(batch)

    def _is_waiting(self) -> bool:
        until_s = self.queue.waits_until_s(self.now_s)
        if self._waits_until_s is None and until_s > self.now_s:
            self._waits_until_s = until_s
            self.after(until_s - self.now_s, self._pull)
        if self._waits_until_s is not None and until_s > self.now_s < self._waits_until_s:
            return True
        self._waits_until_s = None
        return False

    def _compute(self, batch: Batch[Request]) -> None:
        seconds = self._cost.per_second * batch.padded_s + self._cost.fixed_s
        seconds *= max(0.5, self.random.gauss(1.0, self._cost.spread))
        if self.random.uniform(0, 100) < self._cost.slow_percent:
            seconds *= 3
        for request in batch.jobs:
            request.began_s, request.share_s = self.now_s, seconds / len(batch.jobs)
        self.after(seconds, lambda: self._answer(batch, seconds))

    def _answer(self, batch: Batch[Request], seconds: float) -> None:
        self.queue.finished(batch, self.now_s, seconds)
        self.figures.batches.append((batch, seconds))
        self._free += 1
        for request in batch.jobs:
            assert request.answered_s is None, "answered twice"
            request.answered_s = self.now_s
            self.figures.answered.append(request)
        for request in batch.jobs:
            if request.then:
                request.then(request)
        self._pull()

    def _refuse(self, request: Request, error: VoxgateError) -> None:
        request.error, request.answered_s = error, self.now_s
        self.figures.refused.append(request)

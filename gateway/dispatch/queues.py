"""The queue of one version: what waits, and every decision about it, as plain functions of that and the time. No I/O.

Interactive jobs go before bulk, which has its share; within a class the tenant goes first that had the fewest seconds,
within a tenant who came first. That job heads the batch, whatever its length, so none is passed over for ever; others
of like length join it in the same order.
"""

import heapq
import math
from collections import deque
from collections.abc import Iterator
from typing import Final, Generic

from gateway.dispatch.batches import Batch, Limits
from gateway.dispatch.curve import Curve
from gateway.dispatch.fairness import Classes, Fairness, Tenant
from gateway.dispatch.jobs import Urgency
from gateway.dispatch.lines import Line, W
from gateway.dispatch.outlook import Outlook
from gateway.dispatch.settings import DispatchSettings
from model_store.errors import DeadlineExceeded, QueueFull, VoxgateError
from model_store.residency.events import Demand

_LEAST_RETRY_S: Final = 1.0  # HTTP counts in seconds
_MARGIN: Final = 1.1  # batches take a little more or less than predicted
_ARRIVALS: Final = 8
_SEEN_FOR_S: Final = 10.0


class VersionQueue(Generic[W]):
    """Jobs that wait for one version, and what is known of how fast it serves them."""

    def __init__(self, settings: DispatchSettings) -> None:
        self._settings = settings
        self._fairness = Fairness(settings.tenant_weights)
        self._classes = Classes(settings.bulk_share)
        self._lines: dict[Urgency, Line[W]] = {urgency: Line() for urgency in Urgency}
        self._retries: deque[W] = deque()
        self._curves: dict[str, Curve] = {}
        self._curve = Curve()  # of where the last batch went
        self._computing: dict[Batch[W], float] = {}  # until when, as predicted
        self._arrivals: deque[float] = deque(maxlen=_ARRIVALS)
        self._last_tenant: Tenant = None
        self._last_change_s: float | None = None
        self._interactive_s = -math.inf

    def __len__(self) -> int:
        return len(self._retries) + sum(map(len, self._lines.values()))

    def __iter__(self) -> Iterator[W]:
        """The jobs that wait."""
        yield from self._retries
        for line in self._lines.values():
            yield from line

    def curve(self, device: str) -> Curve:
        """What batches take there."""
        return self._curves.setdefault(device, Curve())

    def outlook(self, now_s: float, workers: int = 1) -> Outlook[W]:
        """What is to be expected, while so many workers serve it."""
        batch_s = self._limits(now_s).padded_s
        return Outlook(self._lines, self._curve, batch_s, self._computing.values(), workers, now_s)

    # Who comes and goes -----------------------------------------------------------------------------------------------

    def refusal(self, job: W, now_s: float, workers: int = 1) -> VoxgateError | None:
        """What a newcomer is told instead of being let in; None when it may come in."""
        if not job.is_begun and (error := self.full(job.tenant, job.urgency, now_s, workers)):
            return error
        if job.deadline_s is None:
            return None
        if self.outlook(now_s, workers).soonest_end_s(job.seconds, job.tenant, job.urgency) > job.deadline_s:
            return DeadlineExceeded("What waits for this model already takes longer than the time for this request.")
        return None

    def full(self, tenant: Tenant, urgency: Urgency, now_s: float, workers: int = 1) -> QueueFull | None:
        """What a tenant is told that has no place left; None when it has one."""
        line = self._lines[urgency]
        if len(line) < self._settings.max_queue:
            return None
        tenants = len(line.by_tenant) + (tenant not in line.by_tenant)
        if len(line.by_tenant.get(tenant, ())) < max(1, self._settings.max_queue // tenants):
            return None
        drained_s = self.outlook(now_s, workers).drained_s(tenant, urgency)
        told = "Too much waits for this model already; come back later."
        return QueueFull(told, retry_after_s=max(_LEAST_RETRY_S, drained_s))

    def put(self, job: W, now_s: float) -> None:
        """Take a place."""
        self._fairness.come(job.tenant)
        self._lines[job.urgency].add(job, now_s)
        self._arrivals.append(now_s)
        if job.urgency is Urgency.INTERACTIVE:
            self._interactive_s = now_s
        if job.tenant != self._last_tenant and len(self._arrivals) > 1:
            self._last_change_s = now_s
        self._last_tenant = job.tenant

    def put_back(self, jobs: list[W], now_s: float) -> None:
        """Take the first places again, each to be tried alone."""
        for job in reversed(jobs):
            job.is_alone = True
            self._fairness.come(job.tenant)
            self._lines[job.urgency].expect(job, now_s)
            self._retries.appendleft(job)

    def remove(self, job: W) -> bool:
        """Nobody waits for this job any more; False for one that is not here, such as one that is with a worker."""
        if job in self._retries:
            self._retries.remove(job)
            self._lines[job.urgency].failed(job)
        elif job in self._lines[job.urgency]:
            self._lines[job.urgency].remove(job)
        else:
            return False
        self._fairness.go(job.tenant)
        return True

    def take_all(self) -> list[W]:
        """Empty the queue."""
        return self._taken(list(self))

    def take_late(self, now_s: float) -> list[W]:
        """Take out those who cannot make their deadline, were they computed now.

        That is in the batch that there would be: one of those who need the worker to themselves costs many others.
        """
        if not self._curve.is_measured:
            return self._taken([job for job in self if job.deadline_s is not None and job.deadline_s < now_s])
        most_s = self._limits(now_s).padded_s
        company_s = {urgency: min(most_s, sum(line.seconds.values())) for urgency, line in self._lines.items()}

        def is_late(job: W) -> bool:
            needed_s = _MARGIN * self._curve.predicted_s(max(job.seconds, company_s[job.urgency]))
            return job.deadline_s is not None and now_s + needed_s > job.deadline_s

        return self._taken([job for job in self if is_late(job)])

    def _taken(self, jobs: list[W]) -> list[W]:
        for job in jobs:
            self.remove(job)
        return jobs

    # Batches ----------------------------------------------------------------------------------------------------------

    def take_batch(self, now_s: float, device: str = "") -> Batch[W] | None:
        """The best batch that can be made now for a free worker there; None where nothing waits."""
        self._curve = self.curve(device)
        if (batch := self._retry() or self._next(now_s)) is None:
            return None
        batch.predicted_s = self._curve.predicted_s(batch.padded_s)
        is_bulk_waiting = len(self._lines[Urgency.BULK]) > 0
        self._classes.served(batch.urgency, batch.predicted_s, is_bulk_waiting=is_bulk_waiting)
        self._charge(batch, batch.predicted_s)
        self._computing[batch] = now_s + batch.predicted_s
        return batch

    def finished(self, batch: Batch[W], now_s: float, seconds: float | None, device: str = "") -> None:
        """The worker is free again; `seconds` is what the batch took, None where it was not computed."""
        del self._computing[batch]
        if seconds is not None:
            self.curve(device).add(batch.padded_s, seconds)
            self._charge(batch, seconds - batch.predicted_s)
        for job in batch.jobs:
            line = self._lines[job.urgency]
            if seconds is None:
                line.failed(job)
            else:
                line.finished(job, now_s)
            self._fairness.go(job.tenant)
        for line in self._lines.values():
            line.forget()

    def loaded(self, now_s: float) -> None:
        """Until now nothing could be served."""
        for line in self._lines.values():
            line.loaded(now_s)

    def waits_until_s(self, now_s: float, device: str = "") -> float:
        """Until when a worker that is free now had better wait for company for what there is; `now_s` for not at all.

        Company pays where the fixed cost is most of the batch's, and more than one job comes within it. Then the others
        of a crowd of clients, whose answers went out just now, are about to come back; if one of them were computed
        alone, all would wait for that. A single client, who sends when it has its answer, never comes that often.
        """
        curve, waiting = self.curve(device), self._lines[Urgency.INTERACTIVE]
        is_lonely = sum(waiting.seconds.values()) * curve.per_second <= curve.fixed_s
        if self._retries or not waiting or not is_lonely or not curve.is_measured:
            return now_s
        if len(self._arrivals) < _ARRIVALS or now_s - self._arrivals[0] > (_ARRIVALS - 1) * curve.fixed_s:
            return now_s
        return now_s + min(self._settings.max_queue_delay_s, curve.fixed_s / 4)

    def demand(self) -> Demand:
        """What residency is told."""
        deadlines = [job.deadline_s for job in self if job.deadline_s is not None]
        first = next(iter(self), None)
        return Demand(len(self), min(deadlines, default=None), first.tenant if first else None)

    def _retry(self) -> Batch[W] | None:
        if not self._retries:
            return None
        job = self._retries.popleft()
        batch: Batch[W] = Batch(job.urgency)
        batch.add(job)
        return batch

    def _next(self, now_s: float) -> Batch[W] | None:
        urgency = self._first_class()
        line = self._lines[urgency]
        if not line.by_tenant:
            return None
        quickest_for_s = self._due_s(line) if urgency is Urgency.INTERACTIVE else None
        return self._composed(urgency, line, self._limits(now_s, quickest_for_s))

    def _limits(self, now_s: float, quickest_for_s: float | None = None) -> Limits:
        is_watched = quickest_for_s is None and now_s - self._interactive_s < _SEEN_FOR_S
        return Limits.of(self._settings, self._curve, now_s, is_watched=is_watched, quickest_for_s=quickest_for_s)

    def _first_class(self) -> Urgency:
        interactive, bulk = self._lines[Urgency.INTERACTIVE], self._lines[Urgency.BULK]
        if not interactive.by_tenant:
            return Urgency.BULK
        if bulk.by_tenant:
            head = next(iter(min(bulk.by_tenant.items(), key=lambda entry: self._fairness.place(entry[0]))[1]))
            if self._classes.is_bulk_due(self._curve.predicted_s(head.seconds)):
                return Urgency.BULK
        return Urgency.INTERACTIVE

    def _due_s(self, line: Line[W]) -> float:
        """The audio whose wait a batch is to shorten.

        Where tenants share the version, who has the most waiting counts for no more than all others together: the
        batches of a flood must not be as large as suits the flood.
        """
        most_s, all_s = max(line.seconds.values()), sum(line.seconds.values())
        if self._is_shared:
            return min(all_s, 2 * max(all_s - most_s, all_s / len(line)))
        return all_s

    @property
    def _is_shared(self) -> bool:
        """Whether more than one tenant used it of late."""
        return self._last_change_s is not None and self._arrivals[-1] - self._last_change_s < _SEEN_FOR_S

    def _composed(self, urgency: Urgency, line: Line[W], limits: Limits) -> Batch[W]:
        batch: Batch[W] = Batch(urgency)
        jobs = {tenant: iter(waiting) for tenant, waiting in line.by_tenant.items()}
        order = [(*self._fairness.place(tenant), number, tenant) for number, tenant in enumerate(jobs)]
        heapq.heapify(order)
        while order and len(batch.jobs) < limits.jobs:
            served_s, turn, number, tenant = order[0]
            job = next((job for job in jobs[tenant] if not batch.jobs or batch.takes(job, limits)), None)
            if job is None:
                heapq.heappop(order)
                continue
            batch.add(job)
            cost_s = self._curve.per_second * job.seconds / self._fairness.weight(tenant)
            heapq.heapreplace(order, (served_s + cost_s, turn, number, tenant))
        for job in batch.jobs:
            line.take(job)
        return batch

    def _charge(self, batch: Batch[W], seconds: float) -> None:
        for job in batch.jobs:
            self._fairness.charge(job.tenant, seconds / len(batch.jobs))

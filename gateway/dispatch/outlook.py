"""What is to be expected of a version: when somebody may come back, and how soon something can be done. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Generic

from gateway.dispatch.curve import Curve
from gateway.dispatch.fairness import Tenant
from gateway.dispatch.jobs import Urgency
from gateway.dispatch.lines import Line, W


@dataclass(frozen=True)
class Outlook(Generic[W]):
    """The queue at one moment.

    `batch_s`: the audio of a batch at most; `ends_s`: when those that are being computed will be done.
    """

    lines: Mapping[Urgency, Line[W]]
    curve: Curve
    batch_s: float
    ends_s: Collection[float]
    workers: int
    now_s: float

    def drained_s(self, tenant: Tenant, urgency: Urgency) -> float:
        """Seconds until what a tenant has waiting will have been served: as measured, else by the curve."""
        line = self.lines[urgency]
        waiting_s = line.seconds.get(tenant, 0.0)
        if (per_s := line.per_s(tenant)) is not None:
            return waiting_s / per_s
        return self._free_at_s - self.now_s + waiting_s / self._left_per_s(tenant, urgency)

    def soonest_end_s(self, seconds: float, tenant: Tenant, urgency: Urgency, *, is_divisible: bool = False) -> float:
        """When so much audio, in one piece or many, will be done if nobody else comes any more.

        Now, where nothing was measured.
        """
        if not self.curve.is_measured:
            return self.now_s
        ahead_s = self._ahead_s(seconds, tenant, urgency) / self._all_per_s(urgency)
        own_s = self.curve.predicted_s(seconds / self.workers if is_divisible else seconds)
        return self._free_at_s + ahead_s + own_s

    @property
    def _free_at_s(self) -> float:
        """When some worker is free."""
        return max(self.now_s, min(self.ends_s)) if len(self.ends_s) >= self.workers else self.now_s

    def _left_per_s(self, tenant: Tenant, urgency: Urgency) -> float:
        """Audio seconds that could be served per second of a tenant: what others leave, at least its equal part."""
        all_per_s = self._all_per_s(urgency)
        others = self.lines[urgency].mean_per_s(self.now_s)
        others.pop(tenant, None)
        left_per_s = all_per_s - sum(others.values())
        if urgency is Urgency.BULK:
            left_per_s -= sum(self.lines[Urgency.INTERACTIVE].mean_per_s(self.now_s).values())
        return max(left_per_s, all_per_s / (1 + len(others)))

    def _all_per_s(self, urgency: Urgency) -> float:
        """Audio seconds that all workers serve per second, in batches as they are made of what waits."""
        line = self.lines[urgency]
        batch_s = max(self.batch_s, sum(line.seconds.values()) / len(line) if line else 1.0)
        return self.workers * batch_s / self.curve.predicted_s(batch_s)

    def _ahead_s(self, seconds: float, tenant: Tenant, urgency: Urgency) -> float:
        """The audio that goes before a newcomer: its tenant's, of each other as much, and for bulk what goes first."""
        waiting = dict(self.lines[urgency].seconds)
        own_s = waiting.pop(tenant, 0.0)
        ahead_s = own_s + sum(min(others_s, own_s + seconds) for others_s in waiting.values())
        if urgency is Urgency.BULK:
            ahead_s += sum(self.lines[Urgency.INTERACTIVE].seconds.values())
        return ahead_s

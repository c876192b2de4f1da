"""How good the cost-aware order is, over seeds: against LRU, and against a policy that knows true popularity."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tests.bench.residency.replay import Outcome, replay
from tests.bench.residency.rivals import least_cold_s
from tests.bench.residency.traces import Trace


@dataclass(frozen=True)
class Comparison:
    """Outcomes of one kind of trace by policy, a row per seed; `bounds` are cold seconds that nobody can do without."""

    name: str
    outcomes: dict[str, list[Outcome]]
    bounds_s: list[float]

    def to_lru(self, policy: str) -> list[float]:
        """Cold seconds over those of LRU, by seed."""
        pairs = zip(self.outcomes[policy], self.outcomes["lru"], strict=True)
        return [outcome.cold_s / lru.cold_s for outcome, lru in pairs]

    @property
    def cost_to_lru(self) -> list[float]:
        """Those of the cost-aware policy."""
        return self.to_lru("cost")

    @property
    def gap_closed(self) -> float:
        """Mean share of what knowing true popularity saves that the cost-aware policy saves too."""
        rows = zip(self.to_lru("cost"), self.to_lru("popularity"), strict=True)
        return statistics.mean((1 - cost) / (1 - known) for cost, known in rows)

    @property
    def bound_to_lru(self) -> float:
        """Mean of the bound over LRU."""
        pairs = zip(self.bounds_s, self.outcomes["lru"], strict=True)
        return statistics.mean(bound / lru.cold_s for bound, lru in pairs)


def compared(make: Callable[[int], Trace], seeds: Iterable[int], others: Sequence[str] = ("popularity",)) -> Comparison:
    """Every seed under LRU, the cost-aware policy and the others."""
    traces = [make(seed) for seed in seeds]
    outcomes = {policy: [replay(trace, policy) for trace in traces] for policy in ("lru", "cost", *others)}
    return Comparison(traces[0].name, outcomes, [least_cold_s(trace, trace.budget_bytes) for trace in traces])

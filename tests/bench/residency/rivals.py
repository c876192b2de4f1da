"""Policies to compare with: one from the literature, and two that know what nobody can know; and a bound for them all.

None has any use outside a simulation.
"""

from bisect import bisect_right
from collections import defaultdict

from model_store.residency.ledger import Resident
from tests.bench.residency.traces import Trace


class GreedyDualSizeFrequency:
    """H = L + uses * load seconds / bytes, where L is the H of the last one that went (Cherkasova 1998)."""

    def __init__(self) -> None:
        self._inflation = 0.0
        self._h: dict[int, float] = {}
        self._uses: dict[int, int] = defaultdict(int)

    def used(self, resident: Resident) -> None:
        """One use more of this stay in memory."""
        self._uses[resident.id] += 1
        gain = self._uses[resident.id] * resident.load_s / resident.charged_bytes
        self._h[resident.id] = self._inflation + gain

    def gone(self, resident: int) -> None:
        """It was evicted, and all about it is forgotten."""
        self._inflation = max(self._inflation, self._h.pop(resident, 0.0))
        self._uses.pop(resident, None)

    def worth(self, resident: Resident) -> float:
        """H."""
        return self._h.get(resident.id, self._inflation)


class Popularity:
    """Knows how likely each model is to be asked for, but not when."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._index = {model.version: number for number, model in enumerate(trace.models)}
        self._now = trace.popularity_at(0)

    def at(self, step: int) -> None:
        """Popularity changes."""
        self._now = self._trace.popularity_at(step)

    def used(self, resident: Resident) -> None:
        """Knows already."""

    def worth(self, resident: Resident) -> float:
        """Seconds of loading that a byte will save per request."""
        return self._now[self._index[resident.version]] * resident.load_s / resident.charged_bytes


class Foresight:
    """Knows the future: Belady where all are equal; for mixed ones the heuristic cost / (bytes * steps to its use)."""

    def __init__(self, trace: Trace) -> None:
        self._uses: dict[str, list[int]] = defaultdict(list)
        for step, index in enumerate(trace.requests):
            self._uses[trace.models[index].version].append(step)
        self._step = 0

    def at(self, step: int) -> None:
        """Where in the future we are."""
        self._step = step

    def used(self, resident: Resident) -> None:
        """Knew it would be."""

    def worth(self, resident: Resident) -> float:
        """Nothing, where it is not asked for again."""
        uses = self._uses[resident.version]
        following = bisect_right(uses, self._step)
        if following == len(uses):
            return 0.0
        return resident.load_s / (resident.charged_bytes * (uses[following] - self._step))


def least_cold_s(trace: Trace, budget_bytes: int) -> float:
    """Seconds of loading that no policy can do without.

    To keep a model from one use to the next saves a load, and takes its bytes at each request in between. All that is
    kept at a request fits beside the model that it asks for; summed over all requests that is one knapsack, and filling
    it with fractions of savings, the cheapest first, saves at least as much as any policy can.
    """
    last: dict[int, int] = {}
    savings: list[tuple[float, int]] = []  # seconds, bytes times requests
    for step, index in enumerate(trace.requests):
        model = trace.models[index]
        if index in last:
            savings.append((model.load_s, model.size_bytes * (step - last[index] - 1)))
        last[index] = step
    room = sum(budget_bytes - trace.models[index].size_bytes for index in trace.requests)
    cold_s = sum(trace.models[index].load_s for index in trace.requests)
    for seconds, taken in sorted(savings, key=lambda saving: saving[1] / saving[0]):
        fraction = 1.0 if taken <= room else room / taken
        cold_s -= seconds * fraction
        room -= int(taken * fraction)
        if fraction < 1:
            break
    return cold_s

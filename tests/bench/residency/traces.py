"""Seeded traces: which versions are asked for one after the other, and how popular they truly are meanwhile."""

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from tests.bench.residency.simulator import Model

MIB: Final = 2**20
_MODELS = 40
_FITTING = 8
_REQUESTS = 3_000
_SCAN_EVERY, _SHIFT_EVERY, _STORM_EVERY, _DAY = 400, 500, 500, 1_000


@dataclass(frozen=True)
class Trace:
    """Indices into `models`, one per request. `popularity` has a row per `period` requests, a weight per model."""

    name: str
    models: tuple[Model, ...]
    requests: tuple[int, ...]
    popularity: tuple[tuple[float, ...], ...]
    period: int

    @property
    def budget_bytes(self) -> int:
        """Room for about eight of forty."""
        return sum(model.size_bytes for model in self.models) * _FITTING // len(self.models)

    def popularity_at(self, step: int) -> tuple[float, ...]:
        """How likely each model is to be asked for at that request."""
        return self.popularity[min(step // self.period, len(self.popularity) - 1)]


def zoo(rng: random.Random, *, is_cost_by_size: bool = True) -> tuple[Model, ...]:
    """Models of 90 to 996 MiB, most about 300; what a load takes goes with the size, or does not."""
    sizes = [int(math.exp(max(-1.2, min(1.2, rng.gauss(0, 0.6)))) * 300) * MIB for _ in range(_MODELS)]
    costs = [size / (300 * MIB) if is_cost_by_size else math.exp(rng.gauss(0, 0.8)) for size in sizes]
    return tuple(Model(f"v{number}", size, cost) for number, (size, cost) in enumerate(zip(sizes, costs, strict=True)))


def zipf(rng: random.Random, exponent: float = 0.9) -> list[float]:
    """The popularity of a model with each rank, dealt out at random."""
    weights = [1 / (rank + 1) ** exponent for rank in range(_MODELS)]
    rng.shuffle(weights)
    return weights


def _drawn(
    name: str, rng: random.Random, rows: Iterator[list[float]], period: int, *, is_cost_by_size: bool = True
) -> Trace:
    popularity = tuple(tuple(next(rows)) for _ in range(-(-_REQUESTS // period)))
    requests = [index for row in popularity for index in rng.choices(range(_MODELS), row, k=period)]
    return Trace(name, zoo(rng, is_cost_by_size=is_cost_by_size), tuple(requests[:_REQUESTS]), popularity, period)


def steady(seed: int) -> Trace:
    """Zipf 0.9 that never changes."""
    rng = random.Random(seed)
    weights = zipf(rng)
    return _drawn("zipf", rng, iter(lambda: weights, None), _REQUESTS)


def costly(seed: int) -> Trace:
    """The same, with loads whose time has nothing to do with the size."""
    rng = random.Random(seed)
    weights = zipf(rng)
    return _drawn("zipf, mixed cost", rng, iter(lambda: weights, None), _REQUESTS, is_cost_by_size=False)


def shifting(seed: int) -> Trace:
    """Every now and then some models change places."""
    rng = random.Random(seed)

    def rows() -> Iterator[list[float]]:
        weights = zipf(rng)
        while True:
            yield list(weights)
            for _ in range(10):
                one, other = rng.randrange(_MODELS), rng.randrange(_MODELS)
                weights[one], weights[other] = weights[other], weights[one]

    return _drawn("shift", rng, rows(), _SHIFT_EVERY)


def diurnal(seed: int) -> Trace:
    """Every model has its hours of the day."""
    rng = random.Random(seed)
    base, phases = zipf(rng), [rng.random() for _ in range(_MODELS)]

    def rows() -> Iterator[list[float]]:
        step = 0
        while True:
            day = step / _DAY
            yield [
                weight * (1.05 + math.sin(2 * math.pi * (day + phase)))
                for weight, phase in zip(base, phases, strict=True)
            ]
            step += 20

    return _drawn("diurnal", rng, rows(), 20)


def scan(seed: int) -> Trace:
    """Zipf, and now and then somebody goes through all models once."""
    base = steady(seed)
    requests: list[int] = []
    for start in range(0, _REQUESTS, _SCAN_EVERY):
        requests += [*base.requests[start : start + _SCAN_EVERY], *range(_MODELS)]
    return Trace("scan", base.models, tuple(requests), base.popularity, len(requests))


def storm(seed: int) -> Trace:
    """A tenant with ten models, and another who by times asks for thirty others at random."""
    rng = random.Random(seed)
    shares = (0.95, 0.3)
    rows = ([share / 10] * 10 + [(1 - share) / 30] * 30 for _ in range(_REQUESTS) for share in shares)
    return _drawn("storm", rng, rows, _STORM_EVERY)


def sessions(seed: int) -> Trace:
    """Five callers at a time, each asks for one model some twenty times and then for another: no model is popular."""
    rng = random.Random(seed)
    models = zoo(rng)
    live: list[list[int]] = [[0, 0] for _ in range(5)]
    requests: list[int] = []
    while len(requests) < _REQUESTS:
        caller = rng.choice(live)
        if caller[1] <= 0:
            caller[:] = [rng.randrange(_MODELS), int(rng.expovariate(1 / 20)) + 1]
        requests.append(caller[0])
        caller[1] -= 1
    return Trace("sessions", models, tuple(requests), ((1 / _MODELS,) * _MODELS,), _REQUESTS)


def slot(seed: int) -> Trace:
    """A B A A C A B C, over and over, of three among equal models of which a third fits."""
    models = tuple(Model(f"v{number}", 300 * MIB, 1.0) for number in range(_FITTING * 3))
    rng = random.Random(seed)
    requests: list[int] = []
    while len(requests) < _REQUESTS:
        names = dict(zip("ABC", rng.sample(range(len(models)), 3), strict=True))
        requests += [names[letter] for letter in "ABAACABC"]
    return Trace("ABAACABC", models, tuple(requests), ((1 / len(models),) * len(models),), len(requests))


TRACES: Final[tuple[Callable[[int], Trace], ...]] = (*(steady, costly, shifting, diurnal, scan, storm, sessions, slot),)

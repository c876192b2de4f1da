"""When requests of an open loop are due: the gaps between one and the next, pure and the same for the same seed."""

import itertools
import random
from collections.abc import Iterator
from functools import partial
from typing import Final, Literal, get_args

Arrivals = Literal["poisson", "constant", "bursty"]
ARRIVALS: Final[tuple[Arrivals, ...]] = get_args(Arrivals)

# Gamma's shape for `bursty`: the gaps' standard deviation is twice their mean, where that of `poisson` equals it.
_BURSTY_SHAPE: Final = 0.25


def due_times(arrivals: Arrivals, rate_hz: float, seed: int) -> Iterator[float]:
    """Seconds from the start at which requests are due, without end; the first is one gap after it.

    constant: like a clock. poisson: as many callers who know nothing of each other. bursty: crowds and lulls, with
    gaps from a gamma distribution of the same mean.
    """
    return itertools.accumulate(_gaps(arrivals, rate_hz, random.Random(seed)))  # noqa: S311  (no secret)


def _gaps(arrivals: Arrivals, rate_hz: float, rng: random.Random) -> Iterator[float]:
    match arrivals:
        case "constant":
            return itertools.repeat(1 / rate_hz)
        case "poisson":
            return iter(partial(rng.expovariate, rate_hz), None)
        case "bursty":
            return iter(partial(rng.gammavariate, _BURSTY_SHAPE, 1 / (rate_hz * _BURSTY_SHAPE)), None)


def in_rounds(count: int, seed: int) -> Iterator[int]:
    """Numbers below `count` without end: each once in every round, in an order that is new in each.

    So that every stretch of a run has the same mix of languages and lengths, and a slow server gets what a fast one
    gets.
    """
    rng = random.Random(seed)  # noqa: S311  (no secret)
    while True:
        yield from rng.sample(range(count), count)

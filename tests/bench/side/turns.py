"""One client, by turns: the bound, a gateway as it is, and one that computes one by one.

What differs by some milliseconds cannot be told from figures that were taken minutes apart on these machines.
"""

import statistics
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from tests.bench.side.bound import Ask
from tests.bench.side.loads import Level, run
from tests.bench.side.material import Material
from tests.bench.side.servers import Server

ROUNDS: Final = 5
TURN_S: Final = 2.0


class OneClient(NamedTuple):
    """Medians of the turns' medians in milliseconds."""

    bound_ms: float
    batching_ms: float
    one_by_one_ms: float


def one_client(material: Material, ask: Ask, batching: Server, one_by_one: Server, rounds: int) -> OneClient:
    """So many rounds, in which each has a turn; every second one goes backwards, for who follows whom may matter."""
    level = Level(clients=1, warm_up_s=0.5, seconds=TURN_S)
    takers: list[Callable[[], float]] = [
        lambda: statistics.median(ask(1, TURN_S).runs_ms),
        *(partial(_p50_ms, server, material, level) for server in (batching, one_by_one)),
    ]
    taken = [_round(takers, -1 if number % 2 else 1) for number in range(rounds)]
    return OneClient(*(statistics.median(medians) for medians in zip(*taken, strict=True)))


def _round(takers: list[Callable[[], float]], step: int) -> list[float]:
    return [take() for take in takers[::step]][::step]


def _p50_ms(server: Server, material: Material, level: Level) -> float:
    latency = run(server, material, level).latency_ms
    assert latency is not None, "no answer came"
    return latency.p50

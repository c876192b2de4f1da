"""Situations that dispatch must stand, each with the figure that its bar is about."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.dispatch.jobs import Urgency
from gateway.dispatch.settings import DispatchSettings
from model_store.errors import QueueFull
from tests.bench.dispatch.simulator import Cost, Figures, Request, Simulator

FLOOD: Final = "flood"
TENANTS: Final = 10
UNBATCHED: Final = DispatchSettings(max_batch=1, max_queue_delay_s=0.0)


def p95(values: Iterable[float]) -> float:
    """The value that one in twenty is above."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]


def jain(values: Sequence[float]) -> float:
    """Jain's index of fairness: 1 where all have the same, 1/n where one has everything."""
    return sum(values) ** 2 / (len(values) * sum(value * value for value in values))


def per_s(cost: Cost, seconds: float) -> float:
    """Requests of that length that one worker serves: in batches, or alone where these gain nothing."""
    together = min(32, 60 / seconds)
    alone_s = cost.per_second * seconds
    return max(1 / (alone_s + cost.fixed_s), 1 / (1.1 * alone_s + cost.fixed_s / together))


def crowded(
    cost: Cost, seed: int, requests: int, *, load: float, flood: float, seconds: tuple[float, float]
) -> Figures:
    """Ten tenants that ask for `load` of their equal shares, but one of them for `flood` times that share."""
    sim = Simulator(cost, seed=seed)
    share = per_s(cost, sum(seconds) / 2) / TENANTS
    lasts_s = requests / (share * TENANTS)
    for number in range(1, TENANTS):
        sim.comes(f"tenant {number}", share * load, seconds, lasts_s)
    sim.comes(FLOOD, share * flood, seconds, lasts_s)
    return sim.run(lasts_s).figures


def flooded(
    cost: Cost, seeds: Iterable[int], requests: int, load: float, seconds: tuple[float, float] = (1.0, 3.0)
) -> tuple[float, float]:
    """The other tenants' p95 while none is unlike the others, and while one asks for a hundred times its share."""
    calm, rough = [], []
    for seed in seeds:
        said = {"load": load, "seconds": seconds}
        calm += crowded(cost, seed, requests, flood=load, **said).latencies(but=FLOOD)  # type: ignore[arg-type]
        rough += crowded(cost, seed, requests, flood=100.0, **said).latencies(but=FLOOD)  # type: ignore[arg-type]
    return p95(calm), p95(rough)


def saturated(cost: Cost, seed: int, requests: int) -> float:
    """Jain's index over the seconds served while everybody asks for more than a share, and one for a hundred times it.

    The tenants' requests are of different lengths: it is seconds that are shared, not requests.
    """
    sim = Simulator(cost, seed=seed)
    share = per_s(cost, 3.0) / TENANTS
    lasts_s = requests / (share * TENANTS)
    for number in range(TENANTS):
        length = 1.0 + number / 2
        wanted = 100.0 if number == 0 else 3.0
        sim.comes(f"tenant {number}", share * wanted * 3.0 / length, (0.8 * length, 1.2 * length), lasts_s)
    return jain(list(sim.run(lasts_s).figures.served_s(after_s=lasts_s / 10).values()))


@dataclass(frozen=True)
class Told:
    """A Retry-After, and how long it really took until what its tenant had waiting was served."""

    after_s: float
    really_s: float

    @property
    def ratio(self) -> float:
        """1 where it was true."""
        return self.really_s / self.after_s


def told(cost: Cost, seed: int, *, load: float, seconds: tuple[float, float] = (1.0, 8.0)) -> list[Told]:
    """What a tenant is told that fills the queue, from nothing, again and again, while others use the version."""
    settings = DispatchSettings(max_queue=64)
    sim = Simulator(cost, settings, seed=seed)
    share = per_s(cost, sum(seconds) / 2) / TENANTS
    every_s = 4 * settings.max_queue / (share * TENANTS)
    lasts_s = 12 * every_s
    for number in range(1, TENANTS):
        sim.comes(f"tenant {number}", share * load, seconds, lasts_s)
    watched: list[tuple[Request, list[Request]]] = []

    def look() -> None:
        """The flood fills the queue, until it is refused."""
        while not (last := sim.ask(sim.random.uniform(*seconds), FLOOD)).error:
            pass
        watched.append((last, [job for job in sim.queue if job.tenant == FLOOD]))

    for number in range(2, 10):
        sim.after(number * every_s, look)
    sim.run()
    found = []
    for refused, waiting in watched:
        assert isinstance(refused.error, QueueFull)
        last_s = max(job.answered_s or 0.0 for job in waiting)
        found.append(Told(refused.error.retry_after_s, last_s - refused.queued_s))
    return found


def alone(cost: Cost, seed: int, requests: int, settings: DispatchSettings | None = None) -> float:
    """The median of one client, who sends a command when it has the answer to the one before."""
    sim = Simulator(cost, settings, seed=seed)
    sim.client("client", 1.0, 0.005, requests * (cost.per_second + cost.fixed_s + 0.005))
    return statistics.median(sim.run().figures.latencies())


def crowd(cost: Cost, seed: int, clients: int, settings: DispatchSettings | None = None) -> Figures:
    """Clients who each send a command when they have the answer to the one before."""
    sim = Simulator(cost, settings, seed=seed)
    for number in range(clients):
        sim.client(f"client {number}", 1.0, 0.004, 200 * cost.fixed_s)
    return sim.run().figures


def beside_recordings(cost: Cost, seed: int, commands: int) -> tuple[float, float, Figures]:
    """Commands of one second beside three recordings of an hour: the p95, and the median on an idle machine."""
    sim = Simulator(cost, seed=seed)
    for number in range(3):
        lengths = [sim.random.triangular(1.5, 9.5, 7.5) for _ in range(450)]
        sim.recording(f"recording {number}", lengths)
    lasts_s = 3 * 450 * cost.per_second * 6.2
    sim.comes("commands", commands / lasts_s, (1.0, 1.0), lasts_s)
    figures = sim.run().figures
    return p95(figures.latencies("commands")), alone(cost, seed, 50), figures


def bulk_share(cost: Cost, seed: int, lasts_s: float) -> float:
    """The share of the seconds that a recording gets while interactive requests ask for far more than there is."""
    sim = Simulator(cost, seed=seed)
    sim.recording("recording", [8.0] * 100_000)
    sim.comes("commands", 5 * per_s(cost, 2.0), (1.0, 3.0), lasts_s)
    seconds = dict.fromkeys(Urgency, 0.0)
    for batch, took_s in sim.run(lasts_s).figures.batches:
        seconds[batch.urgency] += took_s
    return seconds[Urgency.BULK] / sum(seconds.values())

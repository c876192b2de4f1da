"""What the engine is put through: by the unit tests for a while, by `make soak` for as long as the bars say."""

import math
import random
import statistics
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from model_store.residency.devices import Device
from model_store.residency.engine import Engine
from model_store.residency.events import ModelRules, Priority
from model_store.residency.ledger import Phase, Resident
from model_store.residency.settings import ResidencySettings
from tests.bench.residency.simulator import Fate, Model, Process, Simulator

MIB: Final = 2**20
_TENANTS = ("acme", "bolt", None)
_RULES = (
    *([ModelRules()] * 6),
    *(ModelRules(priority=Priority.BATCH), ModelRules(priority=Priority.INTERACTIVE)),
    *(ModelRules(keep_alive_s=0.0), ModelRules(keep_alive_s=3.0), ModelRules(is_pinned=True)),
)
GUARANTEED_WAIT_S: Final = 30.0


def settings(**said: object) -> ResidencySettings:
    """Nobody is refused because time is up, or because there are too many."""
    return ResidencySettings(**({"max_wait_s": math.inf, "max_waiters": 10_000} | said))  # type: ignore[arg-type]


class RandomOperations:
    """Requests that come, hold, leave; processes that die; loads that fail; memory that comes late; on three devices.

    Sizes are as predicted, so that no budget may ever be passed. Nobody is refused because time is up, so that whoever
    is never served shows; but where a tenant has a guarantee, which may well keep others out, nobody waits for more
    than `GUARANTEED_WAIT_S`. With copies there is one more device, some versions are crowded for a while, and GPUs are
    lost and come back.
    """

    def __init__(self, seed: int, policy: str, *, has_guarantees: bool = False, max_copies: int = 1) -> None:
        self.rng = random.Random(seed)
        self.has_copies = max_copies > 1
        self.gpus = tuple(
            Device(f"gpu:{number}", "gpu", "made up", size * MIB)
            for number, size in enumerate((1000, 700, 600)[: 3 if self.has_copies else 2])
        )
        devices = (*self.gpus, Device("cpu", "cpu", "made up", 900 * MIB))
        said = settings(
            policy=policy,
            turn_s=0.5,
            failure_backoff_s=1.0,
            failure_backoff_max_s=20.0,
            failure_memory_s=60.0,
            tenant_guarantees_bytes={"acme": 300 * MIB} if has_guarantees else {},
            max_wait_s=GUARANTEED_WAIT_S if has_guarantees else math.inf,
            max_copies=max_copies,
            copies_after_s=0.3,
        )
        self.models = [self._model(number) for number in range(16)]
        self.crowded: list[Model] = []
        self.simulator = Checked(Engine(devices, said), self._fate, max_copies)

    def run(self, events: int) -> Simulator:
        """So many events, then none that are new until all have been answered."""
        while self.simulator.events < events:
            self._operate()
            self.simulator.run(self.simulator.now_s + self.rng.expovariate(20.0))
        self.simulator.run()
        return self.simulator

    def _model(self, number: int) -> Model:
        steady = self.rng.randint(50, 400) * MIB
        peak = min(700 * MIB, int(steady * self.rng.uniform(1.0, 1.6)))
        if number == 0:  # for the CPU alone
            steady = peak = 800 * MIB
        # One pinned model at most: more might keep others out for good.
        rules = _RULES[-1] if number == 1 else self.rng.choice(_RULES[:-1])
        rules = replace(rules, may_use_cpu=self.has_copies and number % 2 == 0)
        return Model(f"v{number}", steady, self.rng.uniform(0.05, 1.0), peak, rules)

    def _fate(self, model: Model) -> Fate:
        draw = self.rng.random()
        return Fate(
            load_s=model.load_s * self.rng.uniform(0.5, 3.0),
            steady_bytes=model.size.steady_bytes,
            peak_bytes=model.size.peak_bytes,
            fault="refused" if draw < 0.04 else "dies" if draw < 0.08 else None,
            stop_s=self.rng.uniform(0.0, 0.3),
            free_s=self.rng.choice((0.0, 0.0, self.rng.uniform(0.0, 1.0))),
        )

    def _operate(self) -> None:
        draw = self.rng.random()
        model = self._model_wanted()
        if self.has_copies and draw > 0.998:
            self._lose(self.rng.choice(self.gpus))
        elif self.has_copies and draw > 0.99:
            self.crowded = self.rng.sample(self.models, self.rng.choice((0, 1, 2)))
        elif draw < 0.01:
            self.simulator.prefetch(model)
        elif draw < 0.02 and self.simulator.processes:
            self.simulator.kill(self.rng.choice(list(self.simulator.processes.values())))
        elif len(self.simulator.requests) < 200:
            patience_s = self.rng.choice((float("inf"), self.rng.uniform(0.0, 3.0)))
            tenant = self.rng.choice(_TENANTS)
            length = 20 if model in self.crowded else 1
            hold_s = self.rng.expovariate(4.0)
            self.simulator.ask(model, hold_s, patience_s=patience_s, tenant=tenant, queue_length=length)

    def _model_wanted(self) -> Model:
        """Mostly a popular one; nearly always one that is crowded, while there are such."""
        if self.crowded and self.rng.random() < 0.98:
            return self.rng.choice(self.crowded)
        return self.models[min(int(self.rng.paretovariate(0.7)) - 1, len(self.models) - 1)]

    def _lose(self, gpu: Device) -> None:
        if not self.simulator.engine.ledgers[gpu.id].is_lost:
            self.simulator.lose(gpu, for_s=self.rng.uniform(0.0, 3.0))


class Checked(Simulator):
    """Holds the budget after every event as well, and where the copies of a version stand."""

    def __init__(self, engine: Engine, fate: Callable[[Model], Fate], max_copies: int) -> None:
        super().__init__(engine, fate)
        self.copies = 0
        self.heirs = 0
        self._max_copies = max_copies
        self._were_copies: set[int] = set()

    def _check(self) -> None:
        super()._check()
        standing: dict[str, list[Resident]] = {}
        for ledger in self.engine.ledgers.values():
            assert 0 <= ledger.charged_bytes <= ledger.device.budget_bytes, "a budget was passed"
            for resident in ledger:
                if resident.phase in (Phase.LOADING, Phase.READY):
                    standing.setdefault(resident.version, []).append(resident)
        for same in standing.values():
            assert len({resident.place for resident in same}) == len(same) <= self._max_copies, "too many"
            assert sum(not resident.is_copy for resident in same) == 1, "a version has one predictor of its own"
            self._count(same)

    def _count(self, same: list[Resident]) -> None:
        copies = {resident.id for resident in same if resident.is_copy}
        own = {resident.id for resident in same} - copies
        self.copies += len(copies - self._were_copies)
        self.heirs += len(own & self._were_copies)
        self._were_copies = (self._were_copies | copies) - own


class WrongSizes:
    """Loads whose sizes are wrong by up to 30 % each time anew, on a device that has its budget and `headroom`."""

    def __init__(self, seed: int, headroom: float) -> None:
        self.rng = random.Random(seed)
        budget = 3000 * MIB
        device = Device("gpu:0", "gpu", "made up", budget)
        self.simulator = Simulator(
            Engine((device,), settings(turn_s=0.5)), self._fate, {device.id: int(budget * (1 + headroom))}
        )
        self.models = [
            Model(f"v{number}", self.rng.randint(100, 900) * MIB, self.rng.uniform(0.2, 2.0)) for number in range(30)
        ]
        self.models = [replace(model, peak_bytes=int(model.size_bytes * 1.25)) for model in self.models]

    def run(self, loads: int) -> Simulator:
        """Until so many have been loaded."""
        while len(self.simulator.loaded) < loads:
            self.simulator.ask(self.rng.choice(self.models), self.rng.expovariate(2.0))
            self.simulator.run(self.simulator.now_s + self.rng.expovariate(2.0))
        self.simulator.run()
        return self.simulator

    def _fate(self, model: Model) -> Fate:
        steady = int(model.size.steady_bytes * self.rng.uniform(0.7, 1.3))
        peak = max(steady, int(model.size.peak_bytes * self.rng.uniform(0.7, 1.3)))
        return Fate(model.load_s, steady, peak, stop_s=0.1, free_s=self.rng.uniform(0.0, 0.5))


class HotModel:
    """One model whose segments come faster than a device computes them, asked for as dispatch asks.

    That is a lease per batch, and as many batches at a time as there are predictors. A predictor computes one batch
    after the other.
    """

    QUEUE: Final = 256
    BATCH: Final = 8

    def __init__(self, devices: int, max_copies: int, segments_per_s: float, *, load_s: float = 5.0) -> None:
        gpus = (Device(f"gpu:{number}", "gpu", "made up", 1000 * MIB) for number in range(devices))
        self.simulator = Simulator(Engine(tuple(gpus), settings(max_copies=max_copies)))
        self.model = Model("hot", 500 * MIB, load_s)
        self.served: list[tuple[float, float]] = []  # when, and how long it took from its arrival
        self.refused = 0
        self._every_s = 1 / segments_per_s
        self._queue: deque[float] = deque()
        self._asked = 0
        self._free_at_s: dict[int, float] = {}

    def run(self, for_s: float) -> None:
        """Let segments come for so long, and no longer."""
        for number in range(int(for_s / self._every_s)):
            self.simulator.after(number * self._every_s, self._arrive)
        self.simulator.run(for_s)

    def per_s(self, from_s: float, to_s: float) -> float:
        """Segments served per second in that time."""
        return sum(from_s <= at_s < to_s for at_s, _ in self.served) / (to_s - from_s)

    def median_s(self, from_s: float) -> float:
        """From the arrival of a segment to its answer, of those answered from then on."""
        return statistics.median(took_s for at_s, took_s in self.served if at_s >= from_s)

    def _arrive(self) -> None:
        if len(self._queue) >= self.QUEUE:
            self.refused += 1
            return
        self._queue.append(self.simulator.now_s)
        self._pump()

    def _pump(self) -> None:
        if self._queue and self._asked < max(1, self.simulator.engine.predictors(self.model.version)):
            self._asked += 1
            self.simulator.ask(self.model, queue_length=len(self._queue), begins=self._compute, ends=self._done)

    def _compute(self, process: Process) -> float:
        """Take a batch; when it will be done."""
        batch = [self._queue.popleft() for _ in range(min(self.BATCH, len(self._queue)))]
        now_s = self.simulator.now_s
        ends_s = max(now_s, self._free_at_s.get(process.resident, 0.0)) + 0.1 + 0.05 * len(batch)
        self._free_at_s[process.resident] = ends_s
        self.served += [(ends_s, ends_s - came_s) for came_s in batch]
        return ends_s - now_s

    def _done(self) -> None:
        self._asked -= 1
        self._pump()

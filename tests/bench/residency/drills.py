"""What the engine is put through: by the unit tests for a while, by `make soak` for as long as the bars say."""

import math
import random
from dataclasses import replace
from typing import Final

from model_store.residency.devices import Device
from model_store.residency.engine import Engine
from model_store.residency.events import ModelRules, Priority
from model_store.residency.settings import ResidencySettings
from tests.bench.residency.simulator import Fate, Model, Simulator

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
    than `GUARANTEED_WAIT_S`.
    """

    def __init__(self, seed: int, policy: str, *, has_guarantees: bool = False) -> None:
        self.rng = random.Random(seed)
        devices = (
            Device("gpu:0", "gpu", "made up", 1000 * MIB),
            Device("gpu:1", "gpu", "made up", 700 * MIB),
            Device("cpu", "cpu", "made up", 900 * MIB),
        )
        said = settings(
            policy=policy,
            turn_s=0.5,
            failure_backoff_s=1.0,
            failure_backoff_max_s=20.0,
            failure_memory_s=60.0,
            tenant_guarantees_bytes={"acme": 300 * MIB} if has_guarantees else {},
            max_wait_s=GUARANTEED_WAIT_S if has_guarantees else math.inf,
        )
        self.models = [self._model(number) for number in range(16)]
        self.simulator = Checked(Engine(devices, said), self._fate)

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
        model = self.models[min(int(self.rng.paretovariate(0.7)) - 1, len(self.models) - 1)]
        if draw < 0.01:
            self.simulator.prefetch(model)
        elif draw < 0.02 and self.simulator.processes:
            self.simulator.kill(self.rng.choice(list(self.simulator.processes.values())))
        elif len(self.simulator.requests) < 200:
            patience_s = self.rng.choice((float("inf"), self.rng.uniform(0.0, 3.0)))
            tenant = self.rng.choice(_TENANTS)
            self.simulator.ask(model, self.rng.expovariate(4.0), patience_s=patience_s, tenant=tenant)


class Checked(Simulator):
    """Holds the budget after every event as well."""

    def _check(self) -> None:
        super()._check()
        for ledger in self.engine.ledgers.values():
            assert 0 <= ledger.charged_bytes <= ledger.device.budget_bytes, "a budget was passed"


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

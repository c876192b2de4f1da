"""A trace through the engine, one request after the other, each when the one before it has its answer."""

from dataclasses import dataclass
from typing import Final

from model_store.residency.devices import Device
from model_store.residency.engine import Engine
from model_store.residency.events import Stop
from model_store.residency.policies import CostAware, Policy, Recency
from model_store.residency.settings import ResidencySettings
from tests.bench.residency.rivals import Foresight, GreedyDualSizeFrequency, Popularity
from tests.bench.residency.simulator import Simulator
from tests.bench.residency.traces import Trace

GAP_S: Final = 1.0
OURS: Final = ("lru", "cost")
NAMES: Final = (*OURS, "gdsf", "popularity", "foresight")


@dataclass(frozen=True)
class Outcome:
    """What a trace cost under one policy."""

    hit_ratio: float
    cold_s: float
    evictions: int


def policy_named(name: str, trace: Trace, budget_bytes: int) -> Policy:
    """One of `NAMES`."""
    match name:
        case "lru":
            return Recency()
        case "cost":
            return CostAware(budget_bytes)
        case "gdsf":
            return GreedyDualSizeFrequency()
        case "popularity":
            return Popularity(trace)
    return Foresight(trace)


def replay(trace: Trace, name: str, budget_bytes: int | None = None) -> Outcome:
    """All requests, on one device of `budget_bytes`, or of the trace's own."""
    budget = budget_bytes or trace.budget_bytes
    policy = policy_named(name, trace, budget)
    settings = ResidencySettings(turn_s=0.0, linger_s=0.0, max_wait_s=1e9)
    simulator = _Replay(Engine((Device("cpu", "cpu", "made up", budget),), settings, policy), policy)
    cold_s = 0.0
    hits = 0
    for step, index in enumerate(trace.requests):
        if isinstance(policy, Popularity | Foresight):
            policy.at(step)
        request = simulator.ask(trace.models[index])
        simulator.run_until(lambda asked=request: asked.is_over)  # type: ignore[misc]
        simulator.run(simulator.now_s + GAP_S)
        if request.error is not None:
            raise request.error
        hits += not request.is_cold
        cold_s += trace.models[index].load_s if request.is_cold else 0.0
    return Outcome(hits / len(trace.requests), cold_s, sum(simulator.stops.values()))


class _Replay(Simulator):
    """Tells a policy that forgets what went."""

    def __init__(self, engine: Engine, policy: Policy) -> None:
        super().__init__(engine)
        self._policy = policy

    def _carry_out(self, action: object) -> None:
        if isinstance(action, Stop) and isinstance(self._policy, GreedyDualSizeFrequency):
            self._policy.gone(action.resident)
        super()._carry_out(action)  # type: ignore[arg-type]

    def _check(self) -> None:
        """The books are held against the processes in the tests."""

"""The figures of a run, from its outcomes; pure."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from msgspec import Struct

from gateway.bench.loop import Load
from gateway.bench.meter import ServerUse
from gateway.bench.outcomes import Outcome, Window

_SHARES: Final = [percent / 100 for percent in range(101)]


class Percentiles(Struct, frozen=True, kw_only=True):
    """Of so many values; each is one that was seen (nearest rank)."""

    count: int
    p50: float
    p95: float
    p99: float
    max: float


class Goodput(Struct, frozen=True, kw_only=True):
    """Texts that came within the deadline: per second, and as a share of all requests, errors included."""

    deadline_s: float
    requests_per_s: float
    share: float


class Generator(Struct, frozen=True, kw_only=True):
    """What the generator took of one core while it counted, and, in an open loop, how long after it was due it sent."""

    cpu_s: float
    cpu_share: float
    sent_late_ms: Percentiles | None


class Run(Struct, frozen=True, kw_only=True):
    """One run.

    A closed loop's requests are those that ended while it counted (errors of those that were sent then come to it, so
    that a server that hangs shows), an open loop's those that were due then. What is per second is of the answers that
    came then. Errors are in no latency; `error_messages` has what the server said with the first of each code, warm-up
    included. `distribution_ms` holds the percentiles of the latency from 0 to 100, `stages_ms` what the server itself
    told. `unanswered` is what was on its way when the run was interrupted.
    """

    load: Load
    counted_s: float
    requests: int
    errors: dict[str, int]
    error_messages: dict[str, str]
    requests_per_s: float
    audio_s_per_s: float
    latency_ms: Percentiles | None
    distribution_ms: list[float]
    goodput: Goodput | None
    stages_ms: dict[str, Percentiles]
    cold: int
    texts_checked: int
    texts_wrong: int
    unanswered: int
    generator: Generator
    server: ServerUse | None
    is_interrupted: bool

    @property
    def failed(self) -> int:
        """How many errors there were, of all codes."""
        return sum(self.errors.values())


class Taken(Struct, frozen=True, kw_only=True):
    """What else is known of a run when it is over."""

    load: Load
    window: Window
    cpu_s: float
    server: ServerUse | None
    unanswered: int
    is_interrupted: bool
    error_messages: dict[str, str] = {}


def run_of(outcomes: Collection[Outcome], taken: Taken, deadline_s: float | None) -> Run:
    """The figures of what counts among the outcomes."""
    window = taken.window
    is_open = taken.load.demand is not None
    counted = [one for one in outcomes if _counts(one, window, is_open=is_open)]
    answered = [one for one in counted if one.code is None]
    came = [one for one in outcomes if one.code is None and one.ended_s in window]
    late = [1000 * (one.sent_s - one.due_s) for one in counted]
    return Run(
        load=taken.load,
        counted_s=window.end_s - window.start_s,
        requests=len(counted),
        errors=dict(sorted(Counter(one.code for one in counted if one.code is not None).items())),
        error_messages=taken.error_messages,
        requests_per_s=len(came) / window.duration_s,
        audio_s_per_s=sum(one.audio_s for one in came) / window.duration_s,
        latency_ms=percentiles(1000 * one.latency_s for one in answered),
        distribution_ms=_distribution(1000 * one.latency_s for one in answered),
        goodput=None if deadline_s is None else _goodput(counted, came, window, deadline_s),
        stages_ms=_stages(answered),
        cold=sum(one.is_cold for one in answered),
        texts_checked=sum(one.is_right is not None for one in answered),
        texts_wrong=sum(one.is_right is False for one in answered),
        unanswered=taken.unanswered,
        generator=Generator(
            cpu_s=taken.cpu_s,
            cpu_share=taken.cpu_s / window.duration_s,
            sent_late_ms=percentiles(late) if is_open else None,
        ),
        server=taken.server,
        is_interrupted=taken.is_interrupted,
    )


def _counts(one: Outcome, window: Window, *, is_open: bool) -> bool:
    if is_open:
        return one.due_s in window
    return one.ended_s in window or (one.code is not None and one.sent_s in window)


def percentiles(values: Iterable[float]) -> Percentiles | None:
    """None of nothing."""
    ordered = sorted(values)
    if not ordered:
        return None
    p50, p95, p99 = (_at(ordered, share) for share in (0.5, 0.95, 0.99))
    return Percentiles(count=len(ordered), p50=p50, p95=p95, p99=p99, max=ordered[-1])


def _at(ordered: Sequence[float], share: float) -> float:
    """The smallest value that is not below so large a share of them."""
    return ordered[max(0, math.ceil(share * len(ordered) - 1e-9) - 1)]


def _distribution(values: Iterable[float]) -> list[float]:
    ordered = sorted(values)
    return [_at(ordered, share) for share in _SHARES] if ordered else []


def _goodput(counted: list[Outcome], came: list[Outcome], window: Window, deadline_s: float) -> Goodput:
    good = sum(one.code is None and one.latency_s <= deadline_s for one in counted)
    return Goodput(
        deadline_s=deadline_s,
        requests_per_s=sum(one.latency_s <= deadline_s for one in came) / window.duration_s,
        share=good / len(counted) if counted else 0.0,
    )


def _stages(answered: list[Outcome]) -> dict[str, Percentiles]:
    """In the order in which the server names them."""
    names = dict.fromkeys(name for one in answered for name in one.stages_ms)
    values = {name: [one.stages_ms[name] for one in answered if name in one.stages_ms] for name in names}
    return {name: found for name, spent_ms in values.items() if (found := percentiles(spent_ms))}

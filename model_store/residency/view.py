"""What stands where and why, as people and programs are shown it: plain data, made from the engine's state."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Final

from msgspec import Meta, Struct

from model_store.artifacts.graphs import EngineName
from model_store.artifacts.manifest import Manifest
from model_store.predictors.hypotheses import Precision
from model_store.residency.breaker import Failing
from model_store.residency.engine import Engine
from model_store.residency.journal import Entry, Journal
from model_store.residency.ledger import Ledger, Phase, Resident
from model_store.residency.line import Party
from model_store.residency.measurements import Loading

_SHORT: Final = 12


class DeviceView(Struct, frozen=True, kw_only=True):
    """One device, in bytes. What is charged and not taken is kept for what is loading, or may grow."""

    id: Annotated[str, Meta(description="`cpu`, or `gpu:` and its number.")]
    kind: Annotated[str, Meta(description="`cpu` or `gpu`.")]
    name: Annotated[str, Meta(description="What the machine calls it.")]
    is_lost: Annotated[bool, Meta(description="Whether it answers no more; until it is back, nothing goes there.")]
    budget_bytes: Annotated[
        int, Meta(description="What all predictors may take together; what it was last, of a device that is lost.")
    ]
    headroom_bytes: Annotated[
        int, Meta(description="Beyond the budget, left alone: only a load that was predicted too small runs into it.")
    ]
    charged_bytes: Annotated[
        int, Meta(description="What decisions count as used: `shared_bytes` and every resident's.")
    ]
    measured_bytes: Annotated[int, Meta(description="What is really taken now, `shared_bytes` included.")]
    shared_bytes: Annotated[int, Meta(description="What counts once for all workers.")]
    reserved_bytes: Annotated[int, Meta(description="Charged, and being freed: not yet to be used again.")]
    growth_bytes: Annotated[
        int, Meta(description="What loads leave free, for predictors that turn out larger than they were charged.")
    ]
    free_bytes: Annotated[
        int, Meta(description="What a load may take now: 0 while it is lost, below 0 when something grew beyond that.")
    ]


class ResidentView(Struct, frozen=True, kw_only=True):
    """One predictor on a device."""

    id: Annotated[int, Meta(description="Number of the resident, in the order of their loads.")]
    model: Annotated[str, Meta(description="Name of its model.")]
    kind: Annotated[str, Meta(description="`asr` or `lid`.")]
    language: Annotated[str | None, Meta(description="Language that it recognises; null for a classifier.")]
    domain: Annotated[str | None, Meta(description="Domain that it is for; null for a classifier.")]
    version: Annotated[str, Meta(description="Short form of the version's digest.")]
    digest: Annotated[str, Meta(description="Digest of the version.")]
    device: Annotated[str, Meta(description="Where it sits.")]
    is_degraded: Annotated[bool, Meta(description="Whether it stands in, on the CPU, for one on a GPU that is lost.")]
    is_warm: Annotated[
        bool, Meta(description="Whether it has run its largest shapes: until then a request may wait for one of them.")
    ]
    engine: Annotated[EngineName | None, Meta(description="What computes it; null where its load never began.")]
    precision: Annotated[Precision | None, Meta(description="How precisely; null where its load never began.")]
    phase: Annotated[Phase, Meta(description="`loading`, `ready`, `draining` (takes nobody new) or `stopping`.")]
    charged_bytes: Annotated[int, Meta(description="What decisions count it as.")]
    measured_bytes: Annotated[int, Meta(description="What its process takes now.")]
    predicted_bytes: Annotated[
        int | None, Meta(description="What it was expected to take once warm, from its manifest or from earlier loads.")
    ]
    age_s: Annotated[float, Meta(description="Since its load began.")]
    last_use_s: Annotated[float | None, Meta(description="Since its last use; null while it loads.")]
    leases: Annotated[int, Meta(description="Batches that hold it now.")]
    is_pinned: Annotated[bool, Meta(description="Whether it stays once it is loaded.")]
    keep_alive_s: Annotated[float | None, Meta(description="How long it stays without use; null: while it can.")]
    load_s: Annotated[float | None, Meta(description="What its load took; null while it loads.")]
    reason: Annotated[
        str,
        Meta(
            description="Why it was loaded: `demand`, `prefetch` (also at the start), `second_try`, or `copy`, beside "
            "another one of its version for which too many waited."
        ),
    ]


class WaitingView(Struct, frozen=True, kw_only=True):
    """A version that requests wait for."""

    model: Annotated[str, Meta(description="Name of its model.")]
    version: Annotated[str, Meta(description="Short form of the version's digest.")]
    digest: Annotated[str, Meta(description="Digest of the version.")]
    waiters: Annotated[int, Meta(description="Leases that are waited for; a lease is a batch.")]
    queue_length: Annotated[int, Meta(description="Segments behind the first of them when it was asked for.")]
    longest_wait_s: Annotated[float, Meta(description="How long the first one has waited.")]
    priority: Annotated[str, Meta(description="`batch`, `normal` or `interactive`.")]
    tried: Annotated[list[str], Meta(description="Loads that failed meanwhile, in words.")]


class BreakerView(Struct, frozen=True, kw_only=True):
    """A version whose loads failed of late."""

    model: Annotated[str, Meta(description="Name of its model.")]
    version: Annotated[str, Meta(description="Short form of the version's digest.")]
    digest: Annotated[str, Meta(description="Digest of the version.")]
    state: Annotated[str, Meta(description="`backing_off`, `open` (evicts nobody), `half_open` (the next one probes).")]
    failures: Annotated[int, Meta(description="Failures in a row.")]
    retry_in_s: Annotated[float, Meta(description="How long it is left alone yet; 0: it may be asked for.")]
    reason: Annotated[str, Meta(description="The last failure, in words.")]


class DecisionView(Struct, frozen=True, kw_only=True):
    """What was decided, or met, and why."""

    at: Annotated[datetime, Meta(description="When; of a refusal given many times, the last time.")]
    first_at: Annotated[datetime, Meta(description="When it was first given, as far back as is remembered.")]
    times: Annotated[int, Meta(description="How often: more than once for refusals alone.")]
    what: Annotated[str, Meta(description="`load`, `evict`, `refuse`, `fail` (of a load) or `lost` (a process).")]
    model: Annotated[str, Meta(description="Name of its model.")]
    version: Annotated[str, Meta(description="Short form of the version's digest.")]
    device: Annotated[str | None, Meta(description="Where; null for a refusal.")]
    reason: Annotated[
        str, Meta(description="In a word, such as `demand`, `room`, `lost` (its device), `back`, or an error's code.")
    ]
    detail: Annotated[str, Meta(description="In a sentence.")]


class ResidencyView(Struct, frozen=True, kw_only=True):
    """What is loaded where, who waits for what, and what was decided of late."""

    at: Annotated[datetime, Meta(description="When this was so.")]
    devices: Annotated[list[DeviceView], Meta(description="The devices, the one that models go to first first.")]
    residents: Annotated[list[ResidentView], Meta(description="Every predictor whose bytes are charged.")]
    waiting: Annotated[list[WaitingView], Meta(description="Who waits, in the order in which they are helped.")]
    breakers: Annotated[list[BreakerView], Meta(description="Versions that failed to load of late.")]
    decisions: Annotated[list[DecisionView], Meta(description="The last decisions, the latest first.")]


@dataclass(frozen=True)
class Known:
    """What the engine does not know: whose version it is, and of residents what they take, who is warm, how loaded."""

    manifests: Mapping[str, Manifest]
    measured_bytes: Mapping[int, int]
    warm: frozenset[int] = frozenset()
    ways: Mapping[int, Loading] = field(default_factory=dict)


def look(engine: Engine, journal: Journal, known: Known, now_s: float, at: datetime) -> ResidencyView:
    """The view at one moment, which is `now_s` on the engine's clock and `at` on the wall's."""
    return ResidencyView(
        at=at,
        devices=[_device(ledger, known) for ledger in engine.ledgers.values()],
        residents=[
            _resident(resident, ledger, journal, known, now_s)
            for ledger in engine.ledgers.values()
            for resident in ledger
        ],
        waiting=[_waiting(party, known, now_s) for party in engine.parties if party.waiters],
        breakers=[_breaker(failing, known) for failing in engine.breakers.failing(now_s)],
        decisions=list(_decisions(journal, known, now_s, at)),
    )


def _device(ledger: Ledger, known: Known) -> DeviceView:
    device = ledger.device
    return DeviceView(
        id=device.id,
        kind=device.kind,
        name=device.name,
        is_lost=ledger.is_lost,
        budget_bytes=device.budget_bytes,
        headroom_bytes=device.headroom_bytes,
        charged_bytes=ledger.charged_bytes,
        measured_bytes=ledger.fixed_bytes + sum(known.measured_bytes.get(resident.id, 0) for resident in ledger),
        shared_bytes=ledger.fixed_bytes,
        reserved_bytes=ledger.coming_bytes,
        growth_bytes=ledger.growth_bytes,
        free_bytes=0 if ledger.is_lost else min(ledger.free_bytes, max(0, ledger.room_bytes)),
    )


def _resident(resident: Resident, ledger: Ledger, journal: Journal, known: Known, now_s: float) -> ResidentView:
    manifest = known.manifests[resident.version]
    origin, way = journal.origins.get(resident.id), known.ways.get(resident.id)
    has_loaded = resident.phase is not Phase.LOADING and resident.loaded_at_s >= resident.started_at_s
    keep_alive_s = resident.rules.keep_alive_s
    return ResidentView(
        id=resident.id,
        model=manifest.name,
        kind=manifest.kind,
        language=manifest.language,
        domain=manifest.domain,
        version=resident.version[:_SHORT],
        digest=resident.version,
        device=ledger.device.id,
        is_degraded=resident.is_degraded,
        is_warm=resident.id in known.warm,
        engine=way.engine if way else None,
        precision=way.precision if way else None,
        phase=resident.phase,
        charged_bytes=resident.charged_bytes,
        measured_bytes=known.measured_bytes.get(resident.id, 0),
        predicted_bytes=origin.expected_bytes if origin else None,
        age_s=_seconds(now_s - resident.started_at_s),
        last_use_s=_seconds(now_s - resident.used_at_s) if has_loaded else None,
        leases=resident.leases,
        is_pinned=resident.is_pinned,
        keep_alive_s=keep_alive_s if math.isfinite(keep_alive_s) else None,
        load_s=_seconds(resident.load_s) if has_loaded else None,
        reason=origin.why if origin else "demand",
    )


def _waiting(party: Party, known: Known, now_s: float) -> WaitingView:
    return WaitingView(
        model=known.manifests[party.version].name,
        version=party.version[:_SHORT],
        digest=party.version,
        waiters=len(party.waiters),
        queue_length=party.first.demand.queue_length,
        longest_wait_s=_seconds(now_s - party.first_since_s),
        priority=party.first.rules.priority.name.lower(),
        tried=list(party.tried),
    )


def _breaker(failing: Failing, known: Known) -> BreakerView:
    return BreakerView(
        model=known.manifests[failing.version].name,
        version=failing.version[:_SHORT],
        digest=failing.version,
        state=failing.state,
        failures=failing.failures,
        retry_in_s=_seconds(failing.retry_in_s),
        reason=failing.reason,
    )


def _decisions(journal: Journal, known: Known, now_s: float, at: datetime) -> Iterator[DecisionView]:
    for entry in journal:
        yield _decision(entry, known, at - timedelta(seconds=now_s))


def _decision(entry: Entry, known: Known, zero: datetime) -> DecisionView:
    """`zero` is when the engine's clock began."""
    return DecisionView(
        at=zero + timedelta(seconds=entry.at_s),
        first_at=zero + timedelta(seconds=entry.first_at_s),
        times=entry.times,
        what=entry.what,
        model=known.manifests[entry.version].name,
        version=entry.version[:_SHORT],
        device=entry.device,
        reason=entry.reason,
        detail=entry.detail,
    )


def _seconds(exact_s: float) -> float:
    """To the millisecond, which is more than anybody reads."""
    return round(max(0.0, exact_s), 3)

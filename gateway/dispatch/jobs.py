"""What waits for a worker: as the queue sees it, plain data, and as the dispatcher answers it."""

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum

from model_store.predictors.hypotheses import Outcome
from model_store.runtime.seam import Utterance, Worker


class Urgency(StrEnum):
    """Classes of work: interactive goes first, and bulk has its share all the same."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


@dataclass(frozen=True)
class Done:
    """The outcome of one job, and where its time went, in seconds per stage.

    `waited_s`: for its turn (queue), or for its model (load). `computed_s`: its share of what the worker spent on each
    stage of the batch. `is_degraded`: its device stood in for a faster one that is lost.
    """

    outcome: Outcome
    waited_s: dict[str, float]
    computed_s: dict[str, float]
    is_cold: bool
    device: str
    is_degraded: bool


@dataclass(eq=False, kw_only=True)
class Waiting:
    """So much audio, of a tenant, since then; `queued_s` and `deadline_s` on the clock that the queue is given.

    `is_begun`: other parts of its recording have been answered, so it is not refused for want of a place. `is_alone`:
    its worker died once, so it is tried again in a batch of its own.
    """

    seconds: float
    queued_s: float
    tenant: str | None = None
    urgency: Urgency = Urgency.INTERACTIVE
    deadline_s: float | None = None
    is_begun: bool = False
    is_alone: bool = False


@dataclass(eq=False, kw_only=True)
class Job(Waiting):
    """One utterance on its way. `worker`: who computes it now, and at which place of its batch."""

    utterance: Utterance
    answer: asyncio.Future[Done] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    worker: tuple[Worker, int] | None = None

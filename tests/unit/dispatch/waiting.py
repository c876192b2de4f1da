"""Jobs and queues of the tests: as the simulator's, on a clock that stands where a test puts it."""

from typing import Any

from gateway.dispatch.batches import Batch
from gateway.dispatch.jobs import Urgency, Waiting
from gateway.dispatch.queues import VersionQueue
from gateway.dispatch.settings import DispatchSettings

INTERACTIVE, BULK = Urgency.INTERACTIVE, Urgency.BULK


def job(seconds: float = 1.0, tenant: str | None = None, urgency: Urgency = INTERACTIVE, **said: Any) -> Waiting:
    return Waiting(seconds=seconds, queued_s=0.0, tenant=tenant, urgency=urgency, **said)


def queue_of(*jobs: Waiting, per_second: float = 0.0, fixed_s: float = 0.0, **said: Any) -> VersionQueue[Waiting]:
    """A queue with jobs in it; measured, where a cost is said."""
    queue: VersionQueue[Waiting] = VersionQueue(DispatchSettings(**said))
    for padded_s in (1.0, 2.0, 4.0, 8.0, 16.0, 32.0) * 2 if per_second or fixed_s else ():
        queue.curve("").add(padded_s, per_second * padded_s + fixed_s)
    assert queue.take_batch(0.0) is None  # from here on that is the curve that is asked
    for each in jobs:
        queue.put(each, 0.0)
    return queue


def batches(queue: VersionQueue[Waiting], took_s: float | None = None) -> list[Batch[Waiting]]:
    """All that are made of what waits, one after the other; each takes as long as predicted, or `took_s`."""
    made = []
    while batch := queue.take_batch(0.0):
        made.append(batch)
        queue.finished(batch, 0.0, batch.predicted_s if took_s is None else took_s)
    return made

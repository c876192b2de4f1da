"""What an operator may set about queues and batches."""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

_Weight = Annotated[float, Meta(gt=0)]


class DispatchSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How segments wait for a worker, and in what company they reach it.

    The preferred size of a batch and the delay that it is worth follow the latencies measured of each version; these
    are the limits to both.
    """

    max_queue: Annotated[
        int,
        Meta(
            ge=1,
            description="Segments of a class, interactive or bulk, that may wait for one version; more get QueueFull, "
            "but no tenant that has less than its equal part of them, and no recording that has begun.",
        ),
    ] = 256
    max_batch: Annotated[int, Meta(ge=1, description="Segments that a worker computes as one batch, at most.")] = 32
    max_batch_s: Annotated[
        float,
        Meta(gt=0, description="Seconds of audio in one batch, padding included, at most; one segment always goes."),
    ] = 60.0
    max_compute_s: Annotated[
        float,
        Meta(
            gt=0,
            description="Seconds that a batch is predicted to compute, at most; one segment always goes. Who comes "
            "meanwhile waits for it.",
        ),
    ] = 0.5
    max_padding: Annotated[
        float,
        Meta(ge=0, lt=1, description="Share of a batch that may be padding: segments of like length go together."),
    ] = 0.25
    max_queue_delay_s: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="How long a free worker waits for company, at most, where that is measured to halve the cost "
            "and enough come; 0 is not at all.",
        ),
    ] = 0.01
    bulk_share: Annotated[
        float,
        Meta(
            ge=0,
            le=0.9,
            description="Share of a version's seconds that bulk (the segments of long recordings) gets while "
            "interactive requests wait; else those go first.",
        ),
    ] = 0.2
    tenant_weights: Annotated[
        dict[str, _Weight],
        Meta(description="By tenant: how much more of a version's seconds than others it is due; 1 where not said."),
    ] = msgspec.field(default_factory=dict)
    quarantine_s: Annotated[
        float,
        Meta(ge=0, description="How long an input that killed two workers is refused at once; 0 is not at all."),
    ] = 600.0
    max_quarantined: Annotated[
        int, Meta(ge=1, description="Inputs that are remembered so, each as a digest; beyond that the oldest goes.")
    ] = 1024

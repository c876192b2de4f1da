"""What an operator may set about queues and batches."""

from typing import Annotated

from msgspec import Meta, Struct


class DispatchSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How segments wait for a worker, and in what company they reach it."""

    max_queue: Annotated[int, Meta(ge=1, description="Segments that may wait for one version; more get QueueFull.")] = (
        256
    )
    max_batch: Annotated[int, Meta(ge=1, description="Segments that a worker computes as one batch, at most.")] = 8
    max_batch_s: Annotated[
        float,
        Meta(gt=0, description="Seconds of audio in one batch, padding included, at most; one segment always goes."),
    ] = 60.0
    quarantine_s: Annotated[
        float,
        Meta(ge=0, description="How long an input that killed two workers is refused at once; 0 is not at all."),
    ] = 600.0
    max_quarantined: Annotated[
        int, Meta(ge=1, description="Inputs that are remembered so, each as a digest; beyond that the oldest goes.")
    ] = 1024

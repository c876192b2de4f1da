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

"""What an operator may set about memory and what is loaded in it."""

from typing import Annotated

from msgspec import Meta, Struct


class ResidencySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much memory models may take, and how patient the gateway is while it makes room."""

    cpu_budget_bytes: Annotated[
        int, Meta(ge=0, description="Host memory for models on the CPU; 0 is half of what the machine has available.")
    ] = 0
    gpu_headroom_bytes: Annotated[
        int, Meta(ge=0, description="Device memory that is left alone on every GPU, for others and for surprises.")
    ] = 2**29
    use_gpu: Annotated[bool, Meta(description="Whether models may go to GPUs, where there are any.")] = True
    stop_grace_s: Annotated[
        float, Meta(gt=0, description="How long an evicted worker may take to end by itself before it is killed.")
    ] = 5.0
    failure_backoff_s: Annotated[
        float, Meta(ge=0, description="How long a version that failed to load is left alone before the next try.")
    ] = 10.0

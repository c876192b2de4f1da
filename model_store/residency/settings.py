"""What an operator may set about memory and what is loaded in it."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct


class ResidencySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much memory models may take, who goes when it is short, and how patient the gateway is meanwhile."""

    cpu_budget_bytes: Annotated[
        int, Meta(ge=0, description="Host memory for models on the CPU; 0 is half of what the machine has available.")
    ] = 0
    cpu_headroom_bytes: Annotated[
        int,
        Meta(
            ge=0,
            description="Host memory that a first load, whose size is only predicted, may take beyond the budget; "
            "a load that takes more is ended. An automatic budget leaves it free.",
        ),
    ] = 2**28
    gpu_headroom_bytes: Annotated[
        int,
        Meta(
            ge=0,
            description="Device memory that is left alone on every GPU, for others and for surprises: "
            "a first load may run into it, and is ended when it takes more.",
        ),
    ] = 2**29
    use_gpu: Annotated[bool, Meta(description="Whether models may go to GPUs, where there are any.")] = True
    may_use_cpu: Annotated[
        bool,
        Meta(
            description="Whether the CPU serves models of a GPU that is lost, visibly slower, until it is back; "
            "`voxgate models rules` says it of one model."
        ),
    ] = False
    free_timeout_s: Annotated[
        float,
        Meta(gt=0, description="How long a GPU may take to show an ended worker's memory free; then that is told."),
    ] = 30.0
    policy: Annotated[
        Literal["lru", "cost"],
        Meta(
            description="Who goes first. lru: the least recently used; "
            "cost: who saves the fewest seconds of loading per byte, or lru's choice while that does better."
        ),
    ] = "lru"
    keep_alive_s: (
        Annotated[
            float,
            Meta(
                ge=0,
                description="How long a version stays that nobody uses; 0 is not at all, not set is while it can; "
                "`voxgate models rules` says it of one model.",
            ),
        ]
        | None
    ) = None
    min_residency_s: Annotated[
        float, Meta(ge=0, description="How long a loaded version stays, in use or not, though others wait for room.")
    ] = 0.0
    turn_s: Annotated[
        float,
        Meta(ge=0, description="How long versions in demand keep their place while another waits for it."),
    ] = 2.0
    linger_s: Annotated[
        float,
        Meta(ge=0, description="How long an idle version counts as in demand: its queue may be between two batches."),
    ] = 0.05
    max_copies: Annotated[
        int,
        Meta(
            ge=1,
            description="Devices of a kind that one version may be loaded on while more is asked of it than fewer can "
            "do; 1: no copies.",
        ),
    ] = 2
    copies_queue: Annotated[
        int,
        Meta(
            ge=0,
            description="Segments that may wait for a version per device that it is on; more, or one that is late, "
            "ask for a copy. Less than one batch takes is of no use.",
        ),
    ] = 8
    copies_after_s: Annotated[
        float,
        Meta(
            ge=0, description="How long that has to go on before a copy is loaded; idle for as long, it is ended again."
        ),
    ] = 10.0
    max_loads: Annotated[int, Meta(ge=1, description="Loads that may go on at the same time.")] = 2
    max_wait_s: Annotated[
        float, Meta(gt=0, description="How long a request may wait for room; then it gets DeviceMemoryExhausted.")
    ] = 60.0
    max_waiters: Annotated[int, Meta(ge=1, description="Leases that may wait for one version; more get QueueFull.")] = (
        256
    )
    preload: Annotated[
        tuple[str, ...], Meta(description="Models that are loaded at the start, as far as they fit side by side.")
    ] = ()
    tenant_guarantees_bytes: Annotated[
        dict[str, int],
        Meta(description="By tenant: bytes on each device of what it uses, which no other tenant's models evict."),
    ] = msgspec.field(default_factory=dict)
    stop_grace_s: Annotated[
        float, Meta(gt=0, description="How long an evicted worker may take to end by itself before it is killed.")
    ] = 5.0
    failure_backoff_s: Annotated[
        float,
        Meta(ge=0, description="How long a version that failed to load is left alone; twice as long each time more."),
    ] = 10.0
    failure_backoff_max_s: Annotated[
        float, Meta(ge=0, description="The longest that a version that failed to load is left alone.")
    ] = 300.0
    breaker_failures: Annotated[
        int, Meta(ge=1, description="Failed loads in a row after which a version evicts nobody until it loads again.")
    ] = 3
    failure_memory_s: Annotated[
        float, Meta(gt=0, description="Failures of a version are forgotten when it had none for this long.")
    ] = 900.0

    def __post_init__(self) -> None:
        if self.failure_memory_s <= self.failure_backoff_max_s:
            raise ValueError("failure_memory_s must be longer than failure_backoff_max_s")

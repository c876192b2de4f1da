"""What an operator may set about workers."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from model_store.artifacts.graphs import EngineChoice, PrecisionChoice


class RuntimeSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Workers: how they are started, and how long the gateway is patient with them."""

    precision: Annotated[
        PrecisionChoice,
        Meta(
            description=(
                "How weights are computed with; auto is bf16 or fp16 where the device has it, else fp32. bf16 says "
                "nothing of GPUs, and fp16 nothing of CPUs; `voxgate models rules` says it of one model."
            )
        ),
    ] = "auto"
    engine: Annotated[
        EngineChoice,
        Meta(
            description=(
                "What computes; auto is OpenVINO on a CPU, where it is installed and answered as Paddle does when the "
                "version was converted, TensorRT on a GPU that the version was optimised for, else Paddle. openvino "
                "says nothing of GPUs, and tensorrt nothing of CPUs; `voxgate models rules` says it of one model."
            )
        ),
    ] = "paddle"
    threads: Annotated[
        int,
        Meta(
            ge=0, description="Threads of one worker's engine; 0 is one per core, and one for a small model in Paddle."
        ),
    ] = 0
    start: Annotated[
        Literal["auto", "fork", "spawn"],
        Meta(
            description="fork: from a server that has imported paddle; spawn: a spare process; auto: by paddle's build."
        ),
    ] = "auto"
    load_timeout_s: Annotated[float, Meta(gt=0, description="A load that takes longer has failed.")] = 120.0
    infer_timeout_s: Annotated[
        float, Meta(gt=0, description="A batch that computes longer has hung; its worker is replaced.")
    ] = 120.0
    heartbeat_s: Annotated[float, Meta(gt=0, description="How often a worker says that it lives.")] = 1.0
    heartbeat_timeout_s: Annotated[
        float, Meta(gt=0, description="A worker that was silent for this long is replaced.")
    ] = 30.0
    arena_bytes: Annotated[
        int, Meta(ge=2**21, description="Shared memory through which one worker receives audio; used pages only count.")
    ] = 2**25

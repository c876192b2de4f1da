"""What the catalogue hands out: plain immutable records, free of the database that they came from."""

import math
from datetime import datetime
from typing import Annotated, Literal, TypedDict

from msgspec import Meta, Struct

from model_store.artifacts.graphs import EngineChoice, PrecisionChoice
from model_store.artifacts.manifest import Digest, Manifest

Kind = Literal["asr", "lid"]
DeviceKind = Literal["cpu", "gpu"]
PriorityName = Literal["batch", "normal", "interactive"]
# Seconds, or while it can stay: said of a model that is not the same as nothing said.
KeepAlive = Annotated[float, Meta(ge=0)] | Literal["forever"]


class Rules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is said about one model; where a rule is None, nothing is said and the gateway's settings hold.

    A pinned model stays once it is loaded. `keep_alive_s` counts from its last use. `priority`: who goes ahead in the
    line for room, and who is evicted first. `may_use_cpu`: the CPU may serve it while a GPU that could is lost.
    `engine` and `precision`: how it is loaded, on devices for which they are meant.
    """

    is_pinned: bool | None = None
    keep_alive_s: KeepAlive | None = None
    priority: PriorityName | None = None
    may_use_cpu: bool | None = None
    engine: EngineChoice | None = None
    precision: PrecisionChoice | None = None

    def __post_init__(self) -> None:
        if isinstance(self.keep_alive_s, float) and not math.isfinite(self.keep_alive_s):
            raise ValueError('keep_alive_s is a number of seconds, or "forever"')


class RulesChange(TypedDict, total=False):
    """The `Rules` that are to change, those alone; None takes back what was said."""

    is_pinned: bool | None
    keep_alive_s: float | Literal["forever"] | None
    priority: PriorityName | None
    may_use_cpu: bool | None
    engine: EngineChoice | None
    precision: PrecisionChoice | None


class ModelRecord(Struct, frozen=True, kw_only=True):
    """A family of versions that serves one language and domain.

    `language` and `domain` are None for a language classifier. `stable` is the version that takes the traffic.
    `created_at` is aware, UTC.
    """

    name: str
    kind: Kind
    language: str | None
    domain: str | None
    stable: Digest | None
    created_at: datetime
    rules: Rules = Rules()


class VersionRecord(Struct, frozen=True, kw_only=True):
    """One immutable set of files of a model; `created_at` says when this catalogue first saw it."""

    digest: Digest
    model: str
    manifest: Manifest
    created_at: datetime


class Measurement(Struct, frozen=True, kw_only=True):
    """What loading a version really took, on one kind of device and in one precision.

    Where another engine than Paddle computes, it stands before the precision: "openvino-bf16". Bytes are a worker's
    private bytes: `steady_bytes` the most of any run, `peak_bytes` the most while it loaded too. `load_s` runs from the
    order to the first warm answer.
    """

    version: Digest
    device_kind: DeviceKind
    precision: str
    steady_bytes: Annotated[int, Meta(ge=0)]
    peak_bytes: Annotated[int, Meta(ge=0)]
    load_s: Annotated[float, Meta(ge=0)]
    measured_at: datetime

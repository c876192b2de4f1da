"""What the catalogue hands out: plain immutable records, free of the database that they came from."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from model_store.artifacts.manifest import Digest, Manifest

Kind = Literal["asr", "lid"]
DeviceKind = Literal["cpu", "gpu"]


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


class VersionRecord(Struct, frozen=True, kw_only=True):
    """One immutable set of files of a model; `created_at` says when this catalogue first saw it."""

    digest: Digest
    model: str
    manifest: Manifest
    created_at: datetime


class Measurement(Struct, frozen=True, kw_only=True):
    """What loading a version really took, on one kind of device and in one precision.

    Bytes are a worker's private bytes: `steady_bytes` after warm-up, `peak_bytes` the most seen while it loaded.
    `load_s` runs from the order to the first warm answer.
    """

    version: Digest
    device_kind: DeviceKind
    precision: str
    steady_bytes: Annotated[int, Meta(ge=0)]
    peak_bytes: Annotated[int, Meta(ge=0)]
    load_s: Annotated[float, Meta(ge=0)]
    measured_at: datetime

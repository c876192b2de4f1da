"""What a version is: its manifest, and the digest that names it."""

import hashlib
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from model_store.errors import ArtifactCorrupt

Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$", description="sha256 of a manifest in canonical JSON")]

MANIFEST_FILE = "manifest.json"
WEIGHTS_FILE = "weights.safetensors"
UNITS_FILE = "units.txt"


class Encoder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The encoder of the U2 family; every default of a source is written out, none is left to be guessed later."""

    kind: Literal["conformer"]
    n_mels: int
    size: int
    heads: int
    linear_units: int
    blocks: int
    subsampling: Literal["conv2d"]
    positions: Literal["relative"]
    activation: Literal["swish"]
    conv_kernel: int
    conv_norm: Literal["layer_norm"]
    is_causal: bool
    norm_epsilon: float
    conv_norm_epsilon: float


class File(Struct, frozen=True):
    """One file of a version."""

    sha256: Sha256
    size_bytes: int


class Source(Struct, frozen=True):
    """Where a version came from: the foreign layout, and the digests of the files that were read."""

    layout: str
    files: dict[str, Sha256]


class Manifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """All that a worker must know to serve a version, and nothing that may change without making another version.

    Defaults are left out of the JSON, so that a field added later, with a default, renames no version of today.

    `language` is a BCP-47 primary tag (zh, yue, en), None for a language classifier, whose `labels` stand in the
    order of its outputs. `units` counts the rows of the output layer.
    """

    format: Literal[1] = 1
    name: Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9._-]{0,63}$")]
    kind: Literal["asr", "lid"]
    language: str | None = None
    domain: str | None = None
    labels: tuple[str, ...] = ()
    sample_rate_hz: int
    units: int
    encoder: Encoder
    source: Source
    files: dict[str, File]

    def to_json(self) -> bytes:
        """Canonical JSON: sorted keys, no spaces; the same manifest gives the same bytes everywhere."""
        return msgspec.json.encode(self, order="sorted")

    @property
    def digest(self) -> str:
        """Names the version; covers the weights too, through their own digest in `files`."""
        return hashlib.sha256(self.to_json()).hexdigest()

    @property
    def weights_bytes(self) -> int:
        """Bytes of the fp32 weights, the base of every prediction of memory."""
        return self.files[WEIGHTS_FILE].size_bytes


def parse(raw: bytes) -> Manifest:
    """The manifest in `raw`; raises ArtifactCorrupt naming the field that is wrong."""
    try:
        return msgspec.json.decode(raw, type=Manifest)
    except msgspec.MsgspecError as exc:
        raise ArtifactCorrupt(f"The manifest cannot be read: {exc}. Import the model again.") from exc

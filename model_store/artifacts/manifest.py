"""What a version is: its manifest, and the digest that names it."""

import hashlib
import math
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from model_store.errors import ArtifactCorrupt

Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$", description="sha256 of a manifest in canonical JSON")]

MANIFEST_FILE = "manifest.json"
WEIGHTS_FILE = "weights.safetensors"
UNITS_FILE = "units.txt"


Activation = Literal["swish", "relu", "gelu", "tanh", "hardtanh", "selu"]

# Convolutions of a subsampling, (kernel, stride) along time, unpadded.
SUBSAMPLINGS: dict[str, tuple[tuple[int, int], ...]] = {
    "conv2d": ((3, 2), (3, 2)),
    "conv2d6": ((3, 2), (5, 3)),
    "conv2d8": ((3, 2), (3, 2), (3, 2)),
}


class _EncoderShape(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the encoders of the U2 family share; every default of a source is written out, none is left to be guessed.

    `positions` relative: Transformer-XL's terms in the attention, without its shift; absolute: added to the input.
    """

    n_mels: int
    size: int
    heads: int
    linear_units: int
    blocks: int
    subsampling: Literal["conv2d", "conv2d6", "conv2d8"]
    positions: Literal["relative", "absolute"]
    activation: Activation
    norm_epsilon: float

    @property
    def stride_frames(self) -> int:
        """Feature frames from the start of one encoder frame to the start of the next."""
        return math.prod(stride for _, stride in SUBSAMPLINGS[self.subsampling])

    @property
    def min_frames(self) -> int:
        """Feature frames that one encoder frame sees; fewer give none."""
        needed = 1
        for kernel, stride in reversed(SUBSAMPLINGS[self.subsampling]):
            needed = (needed - 1) * stride + kernel
        return needed


class ConformerShape(_EncoderShape, frozen=True, kw_only=True, tag_field="kind", tag="conformer"):
    """A conformer encoder. Its convolution sees no later frame when it is causal."""

    conv_kernel: int
    conv_norm: Literal["layer_norm", "batch_norm"]
    conv_norm_epsilon: float
    is_causal: bool


class TransformerShape(_EncoderShape, frozen=True, kw_only=True, tag_field="kind", tag="transformer"):
    """A transformer encoder."""


Encoder = ConformerShape | TransformerShape


class Decoder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The attention decoder, which scores what the CTC search found; as wide as the encoder.

    With `reverse_blocks` there are two of them, and the second reads from right to left. The weights are those that
    the source decodes with: of the CTC score when rescoring, and of the second decoder's share in the attention score.
    """

    heads: int
    linear_units: int
    blocks: int
    reverse_blocks: int = 0
    activation: Activation
    norm_epsilon: float
    sos: int
    eos: int
    ctc_weight: float
    reverse_weight: float


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
    order of its outputs. `units` counts the rows of the output layer. Units of a `tokenizer` bpe are pieces of words,
    and ▁ begins a word.
    """

    format: Literal[1] = 1
    name: Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9._-]{0,63}$")]
    kind: Literal["asr", "lid"]
    language: str | None = None
    domain: str | None = None
    labels: tuple[str, ...] = ()
    sample_rate_hz: int
    units: int
    tokenizer: Literal["char", "bpe"] = "char"
    encoder: Encoder
    decoder: Decoder | None = None
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

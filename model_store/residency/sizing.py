"""How much memory a version is thought to take before it was measured: from its manifest alone.

What counts is the largest run that there is (`warm_up` runs it): `MAX_RUN_FRAMES` of features through the encoder, and
`MAX_RUN_TOKENS` through the decoder. Of all that an encoder computes, three things are large: the planes of the first
convolution, the scores of the attention, and the probabilities of all units. The factors were fitted to CPU workers of
six networks of 3 to 35 million weights (Paddle 3.1, oneDNN), which took 0.86 to 1.11 times what is said here; those for
GPUs follow from what Paddle documents, and have not been held against one yet.
"""

from dataclasses import dataclass
from typing import Final

from model_store.artifacts.graphs import EngineName
from model_store.artifacts.manifest import SUBSAMPLINGS, Manifest
from model_store.catalog.records import DeviceKind
from model_store.predictors.batching import MAX_RUN_FRAMES
from model_store.predictors.hypotheses import Precision
from model_store.predictors.rescoring import MAX_RUN_TOKENS
from model_store.residency.events import MIB, Size

_FLOAT_BYTES: Final = 4


@dataclass(frozen=True)
class _Costs:
    """What an engine makes of a network.

    `base_bytes`: process and framework; copies of the weights, by graph; `activations` in shares of their fp32 size;
    `load` beyond all that while the graphs are prepared, in shares of the weights.
    """

    base_bytes: int
    encoder_copies: float
    decoder_copies: float
    activations: float
    load_copies: float = 0.0


# oneDNN keeps its own reordered copy beside each weight of the encoder.
_CPU: Final[dict[Precision, _Costs]] = {
    "fp32": _Costs(44 * MIB, 2.2, 1.1, 1.9),
    "bf16": _Costs(44 * MIB, 1.65, 1.1, 1.35),
}
# OpenVINO leaves the weights in their file, keeps what it reorders of them, and gives less back of what runs need.
# Fitted to the same networks (OpenVINO 2026.4) with weights of 16 bits, which took 0.89 to 1.12 times this; with 8 they
# take less.
_OPENVINO: Final[dict[Precision, _Costs]] = {
    "fp32": _Costs(44 * MIB, 2.0, 3.0, 1.9),
    "bf16": _Costs(44 * MIB, 0.67, 2.0, 1.1),
}
# The CUDA context and the libraries' handles; the allocator gives nothing back that it ever took. For fp16 the pass
# that converts the weights has both precisions of them in memory.
_GPU: Final[dict[Precision, _Costs]] = {
    "fp32": _Costs(600 * MIB, 1.0, 1.0, 1.2),
    "fp16": _Costs(600 * MIB, 0.5, 0.5, 0.7, load_copies=1.0),
}


def predicted(manifest: Manifest, kind: DeviceKind, precision: Precision, engine: EngineName = "paddle") -> Size:
    """Steady and peak bytes of a worker with this version."""
    table = _GPU if kind == "gpu" else _OPENVINO if engine == "openvino" else _CPU
    costs = table.get(precision) or _CPU["fp32"]
    decoder = _decoder_bytes(manifest)
    encoder = max(0, manifest.weights_bytes - decoder)
    weights = encoder * costs.encoder_copies + decoder * costs.decoder_copies
    steady = costs.base_bytes + weights + costs.activations * _run_bytes(manifest)
    return Size(int(steady), int(steady + costs.load_copies * manifest.weights_bytes))


def _decoder_bytes(manifest: Manifest) -> int:
    """The weights of the attention decoders: two attentions and a feed-forward part per block, and the vocabulary."""
    shape, size = manifest.decoder, manifest.encoder.size
    if shape is None:
        return 0
    blocks = (shape.blocks + shape.reverse_blocks) * (8 * size * size + 2 * size * shape.linear_units)
    vocabulary = (2 if shape.reverse_blocks else 1) * 2 * size * manifest.units
    return (blocks + vocabulary) * _FLOAT_BYTES


def _run_bytes(manifest: Manifest) -> int:
    """fp32 bytes of what the largest run has in memory at once."""
    shape = manifest.encoder
    (kernel, stride), *_ = SUBSAMPLINGS[shape.subsampling]
    planes = shape.size * (MAX_RUN_FRAMES // stride) * ((shape.n_mels - kernel) // stride + 1)
    frames = MAX_RUN_FRAMES // shape.stride_frames
    scores = 3 * shape.heads * frames**2  # they, their bias or positions, and the softmax
    tokens = frames if manifest.decoder is None else max(frames, MAX_RUN_TOKENS)
    return (planes + scores + tokens * manifest.units) * _FLOAT_BYTES

"""How much memory a version is thought to take before it was measured."""

from typing import Final

from model_store.artifacts.manifest import Manifest
from model_store.predictors.hypotheses import Precision
from model_store.residency.events import MIB, Size

# Beyond its weights a CPU worker pays for what it writes to pages shared with the fork server, the executor and the
# activations of the longest warm-up; measured on the starter models, and on the safe side: a measurement follows.
_WORKER_BYTES: Final = 160 * MIB
_WEIGHT_COPIES: Final[dict[Precision, float]] = {"fp32": 2.2, "bf16": 1.8, "fp16": 1.8}
_LOAD_PEAK: Final = 1.25


def predicted(manifest: Manifest, precision: Precision) -> Size:
    """From the manifest alone: weights, the engine's reordered copies of them, and a worker's own."""
    steady = int(_WORKER_BYTES + manifest.weights_bytes * _WEIGHT_COPIES[precision])
    return Size(steady, int(steady * _LOAD_PEAK))

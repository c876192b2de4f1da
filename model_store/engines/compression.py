"""Weights of 8 bits for OpenVINO, which multiplies them out where it computes: fewer bytes to keep, and to read.

Symmetric, with a scale for each output of a matrix product; what else a graph has stays as it is. OpenVINO's own tool
for it, NNCF, would bring many packages for these few lines.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

# Smaller ones save nothing, and the first layers' are small.
_MIN_WEIGHTS = 4096
_LARGEST = 127


def compress(model: Any) -> None:
    """Give the weights of all matrix products of an `openvino.Model` 8 bits each, in place."""
    import openvino
    from openvino import opset13 as ops

    for target, weights, axis in list(_weights(model)):
        scale = np.abs(weights).max(axis=axis, keepdims=True) / _LARGEST
        scale[scale == 0] = 1.0
        rounded = ops.constant(np.round(weights / scale).astype(np.int8), dtype=openvino.Type.i8)
        whole = ops.multiply(ops.convert(rounded, "f32"), ops.constant(scale.astype(np.float32)))
        target.replace_source_output(whole.output(0))


def _weights(model: Any) -> Iterator[tuple[Any, np.ndarray[Any, np.dtype[np.float32]], int]]:
    """The inputs of products that are fixed matrices: the input, the matrix, and the axis that is summed over."""
    for node in model.get_ordered_ops():
        if node.get_type_name() != "MatMul":
            continue
        target = node.input(1)
        source = target.get_source_output().get_node()
        if source.get_type_name() == "Convert":  # from the 16 bits in which it is kept
            source = source.input(0).get_source_output().get_node()
        if source.get_type_name() == "Constant" and len(source.data.shape) == 2 and source.data.size >= _MIN_WEIGHTS:
            yield target, source.data.astype(np.float32), 1 if node.get_attributes()["transpose_b"] else 0

"""WeNet's tensors -> the network's: by name, turned to Paddle's layout, none missing and none left over."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from model_store.errors import ImportFailed

Array = npt.NDArray[Any]
Shapes = Mapping[str, tuple[int, ...]]

# Sinusoids that the network computes itself, and counters of training.
_UNUSED_ENDINGS = (".pos_enc.pe", ".num_batches_tracked")
# The attention decoder: read and listed, but no graph of ours runs it yet.
_UNSERVED_BEGINNINGS = ("decoder.",)


def convert_tensors(source: Mapping[str, Array], needed: Shapes) -> tuple[dict[str, Array], list[str]]:
    """The tensors that a network of the shapes `needed` takes, float32, and the names of those not served yet.

    Raises ImportFailed naming the tensor that is missing, unexpected, misshapen or not finite.
    """
    unserved = [name for name in source if name.startswith(_UNSERVED_BEGINNINGS)]
    for name in source:
        if name not in needed and name not in unserved and not name.endswith(_UNUSED_ENDINGS):
            raise ImportFailed(f"Unexpected tensor {name} of shape {source[name].shape}.", tensor=name)
    return {name: _convert(name, source, shape) for name, shape in needed.items()}, sorted(unserved)


def _convert(name: str, source: Mapping[str, Array], needed: tuple[int, ...]) -> Array:
    if name not in source:
        raise ImportFailed(f"Tensor {name} is missing; the network needs one.", tensor=name)
    expected = _torch_shape(name, needed)
    found = source[name]
    if found.shape != expected:
        raise ImportFailed(f"Tensor {name} has shape {found.shape}, the configuration says {expected}.", tensor=name)
    if found.dtype.kind != "f":
        raise ImportFailed(f"Tensor {name} holds {found.dtype} numbers, not floating-point ones.", tensor=name)
    turned = found.T.reshape(needed) if _is_linear(name, needed) else found.reshape(needed)
    tensor = np.ascontiguousarray(turned, np.float32)
    if not np.isfinite(tensor).all():
        raise ImportFailed(f"Tensor {name} holds numbers that are not finite.", tensor=name)
    return tensor


def _torch_shape(name: str, needed: tuple[int, ...]) -> tuple[int, ...]:
    """The shape in torch: (out, in) for a linear layer, a third axis for one-dimensional convolutions."""
    if ".depthwise_conv.weight" in name:
        return (needed[0], needed[1], needed[3])
    if _is_linear(name, needed):
        return (needed[1], needed[0], 1) if ".pointwise_conv" in name else (needed[1], needed[0])
    return needed


def _is_linear(name: str, needed: tuple[int, ...]) -> bool:
    return name.endswith(".weight") and len(needed) == 2

"""Foreign tensors -> the network's: by name, turned to its layout, none missing and none left over."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from model_store.errors import ImportFailed

Array = npt.NDArray[Any]
Shapes = Mapping[str, tuple[int, ...]]

# Sinusoids that the network computes itself, counters of training, and a layer that both sources create in every block
# and use only with `concat_after`, which no configuration that is served has.
_UNUSED = re.compile(r"(\.pos_enc\.pe|\.embed\.1\.pe|\.num_batches_tracked|\.concat_linear[12]?\.(weight|bias))$")
_EMBEDDING = "decoder.embed.0.weight"


@dataclass(frozen=True, slots=True)
class Style:
    """How a framework lays out and names what it saves.

    `has_inputs_last`: a linear layer's weight is (out, in). `endings` has its ends of names by ours, where they differ.
    """

    has_inputs_last: bool
    endings: Mapping[str, str] = field(default_factory=dict)

    def name(self, ours: str) -> str:
        """The name of one of the network's tensors in this style."""
        start, dot, end = ours.rpartition(".")
        return start + dot + self.endings.get(end, end)


TORCH = Style(has_inputs_last=True)
PADDLE = Style(has_inputs_last=False, endings={"running_mean": "_mean", "running_var": "_variance"})


def convert_tensors(source: Mapping[str, Array], needed: Shapes, style: Style) -> dict[str, Array]:
    """The tensors that a network of the shapes `needed` takes, float32.

    Raises ImportFailed naming the tensor, as the source names it, that is missing, unexpected, misshapen or not finite.
    """
    names = {style.name(ours): ours for ours in needed}
    for name in source:
        if name not in names and not _UNUSED.search(name):
            raise ImportFailed(f"Unexpected tensor {name} of shape {source[name].shape}.", tensor=name)
    return {ours: _convert(name, source, needed[ours], style) for name, ours in names.items()}


def _convert(name: str, source: Mapping[str, Array], needed: tuple[int, ...], style: Style) -> Array:
    if name not in source:
        raise ImportFailed(f"Tensor {name} is missing; the network needs one.", tensor=name)
    found, expected = source[name], _foreign_shape(name, needed, style)
    if found.shape != expected:
        raise ImportFailed(f"Tensor {name} has shape {found.shape}, the configuration says {expected}.", tensor=name)
    if found.dtype.kind != "f":
        raise ImportFailed(f"Tensor {name} holds {found.dtype} numbers, not floating-point ones.", tensor=name)
    turned = found.T if _is_turned(name, needed, style) else found
    tensor = np.ascontiguousarray(turned.reshape(needed), np.float32)
    if not np.isfinite(tensor).all():
        raise ImportFailed(f"Tensor {name} holds numbers that are not finite.", tensor=name)
    return tensor


def _foreign_shape(name: str, needed: tuple[int, ...], style: Style) -> tuple[int, ...]:
    """One-dimensional convolutions have three axes, (out, in, kernel), in both frameworks."""
    if ".depthwise_conv.weight" in name:
        return (needed[0], needed[1], needed[3])
    if ".pointwise_conv" in name and len(needed) == 2:
        return (needed[1], needed[0], 1)
    return needed[::-1] if _is_turned(name, needed, style) else needed


def _is_turned(name: str, needed: tuple[int, ...], style: Style) -> bool:
    """Whether the axes stand in the other order: where a weight is multiplied with, it is (in, out) in the network."""
    is_linear = name.endswith(".weight") and len(needed) == 2 and not name.endswith(_EMBEDDING)
    return is_linear and (style.has_inputs_last or ".pointwise_conv" in name)

"""What every engine does, whichever library it is made of."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from model_store.engines.cpu import is_bf16_processor
from model_store.errors import LoadFailed

Array = npt.NDArray[Any]
EnginePrecision = Literal["fp32", "bf16", "fp16"]


class Engine(Protocol):
    """A graph that is loaded, ready to run; not for use by two threads at once."""

    def run(self, inputs: Mapping[str, Array], wanted: Sequence[str]) -> dict[str, Array]:
        """Run the graph once; what is not in `wanted` is not copied out.

        Raises PredictFailed, DeviceMemoryExhausted, or the DeviceFault after which the process has to end.
        """


def check_precision(precision: EnginePrecision, device: str) -> None:
    """Raise LoadFailed where a device does not compute in a precision: bf16 is some processors', fp16 is GPUs'."""
    if precision == "bf16" and (device != "cpu" or not is_bf16_processor()):
        hint = "Set `runtime.precision`, or `voxgate models rules NAME --precision`, to auto or fp32."
        raise LoadFailed(f"bf16 needs a processor with avx512_bf16 or amx_bf16. {hint}")
    if precision == "fp16" and device == "cpu":
        raise LoadFailed("fp16 needs a GPU. Load the version in fp32 or bf16.")


def contiguous(inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The same arrays, laid out as libraries expect them."""
    return {name: np.ascontiguousarray(array) for name, array in inputs.items()}

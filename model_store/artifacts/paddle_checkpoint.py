"""Paddle checkpoints as numpy arrays, without Paddle.

A `.pdparams` file is one pickle, of protocol 2, 3 or 4, of a state dict of numpy arrays. It needs what numpy pickles
its arrays with, and no more. Layout: paddle/framework/io.py, `_legacy_save` and `_pickle_save`; io_utils.py,
`_unpack_saved_dict`; numpy's `ndarray.__reduce__` and `dtype.__reduce__`.
"""

import math
import mmap
from pathlib import Path
from typing import Any

import numpy as np

from model_store.artifacts.unpickling import (
    Array,
    Budget,
    Known,
    StateDictUnpickler,
    checked_state_dict,
    refusing_what_fails,
)
from model_store.errors import ImportFailed

# Which name Paddle's own bookkeeping has for a tensor.
_OWN_NAMES = "StructuredToParameterName@@"
# Protocols 2 and 3 cannot hold arrays of 4 GiB: larger ones are cut, and this says how (its spelling is Paddle's).
_SLICES = "UnpackBigParamInfor@@"
_NUMBERS = frozenset({"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"})
# Stands in for the class numpy.ndarray, as which it does nothing.
_NDARRAY = object()


class _Dtype:
    """Stands in for a numpy.dtype; the byte order comes after it was made."""

    def __init__(self, name: object) -> None:
        if name not in _NUMBERS:
            raise ImportFailed(f"A checkpoint's pickle asks for numpy.dtype({name!r}), which are no numbers.")
        self.dtype = np.dtype(str(name))

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] not in ("<", "|", "="):
            raise ImportFailed("A checkpoint was written on a big-endian machine; save it again on another.")


class _Pending:
    """Stands in for a numpy.ndarray; its values come after it was made."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.values: Array | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _version, shape, dtype, is_fortran, raw = state
        if not isinstance(dtype, _Dtype) or not isinstance(raw, bytes):
            raise ImportFailed(f"A checkpoint's pickle fills a numpy.ndarray with a {type(raw).__name__}.")
        if min(shape, default=0) < 0 or math.prod(shape) * dtype.dtype.itemsize != len(raw):
            raise ImportFailed(f"An array of shape {shape} cannot have {len(raw)} bytes.")
        self._budget.spend(len(raw))
        self.values = np.frombuffer(raw, dtype.dtype).reshape(shape, order="F" if is_fortran else "C")


def read_paddle_checkpoint(path: Path) -> dict[str, Array]:
    """The state dict that `paddle.save` wrote, by name, each tensor in its own type.

    Raises ImportFailed naming the global or entry that it does not take.
    """
    with refusing_what_fails(path), path.open("rb") as stream:
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as view:
            loaded = StateDictUnpickler(view, path.name, _known(Budget(path))).load()
        if isinstance(loaded, dict):
            loaded = {name: _values(entry) for name, entry in loaded.items() if name != _OWN_NAMES}
            loaded = _joined(loaded, path)
        return checked_state_dict(loaded, path)


def _known(budget: Budget) -> Known:
    """What numpy names in its pickles, by the names of Python 2 and 3 and of numpy 1 and 2.

    The functions are made anew for each file, since a pickle can set attributes of what it names.
    """

    def reconstruct(kind: object, _shape: object, _typecode: object) -> _Pending:
        if kind is not _NDARRAY:
            raise ImportFailed(f"A checkpoint's pickle asks numpy to reconstruct a {kind!r}.")
        return _Pending(budget)

    def dtype(name: object, *_flags: object) -> _Dtype:
        return _Dtype(name)

    def encode(text: str, encoding: str) -> bytes:
        if encoding != "latin1":
            raise ImportFailed(f"A checkpoint's pickle asks for _codecs.encode to {encoding!r}.")
        budget.spend(len(text))
        return text.encode("latin1")

    def no_bytes() -> bytes:
        """How protocol 2 writes the content of an empty array."""
        return b""

    def of_named(named: tuple[Any, Any]) -> Any:
        """A tensor saved outside a state dict is a tuple of its name and its values."""
        _name, values = named
        return values

    modules = ("numpy.core.multiarray", "numpy._core.multiarray")
    builtins = ("__builtin__", "builtins")
    return (
        {("numpy", "ndarray"): _NDARRAY, ("numpy", "dtype"): dtype, ("_codecs", "encode"): encode}
        | {(module, "_reconstruct"): reconstruct for module in modules}
        | {(module, "bytes"): no_bytes for module in builtins}
        | {(module, "tuple"): of_named for module in builtins}
    )


def _values(entry: Any) -> Any:
    return entry.values if isinstance(entry, _Pending) else entry


def _joined(loaded: dict[Any, Any], path: Path) -> dict[Any, Any]:
    """The state dict with the arrays whole that were cut."""
    cuts = loaded.pop(_SLICES, {})
    for name, cut in cuts.items():
        parts = [loaded.pop(part, None) for part in cut["slices"]]
        if not all(isinstance(part, np.ndarray) for part in parts):
            raise ImportFailed(f"{path.name}: a slice of {name} is missing.")
        whole, shape = np.concatenate(parts), tuple(cut["OriginShape"])
        if whole.size != math.prod(shape):
            raise ImportFailed(f"{path.name}: the slices of {name} have {whole.size} numbers, not shape {shape}.")
        loaded[name] = whole.reshape(shape)
    return loaded

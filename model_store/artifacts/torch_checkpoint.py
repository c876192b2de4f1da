"""Torch checkpoints as numpy arrays, without torch.

A `.pt` file is a zip archive: `<name>/data.pkl` describes the tensors and `<name>/data/<key>` holds their bytes. The
pickle of a plain state dict needs four globals. Layout: torch/serialization.py, `_save` and `_load`; torch/_utils.py,
`_rebuild_tensor_v2`.
"""

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from model_store.artifacts.unpickling import (
    Array,
    Budget,
    StateDictUnpickler,
    checked_state_dict,
    refusing_what_fails,
)
from model_store.errors import ImportFailed

_MAX_PICKLE_BYTES = 64 << 20
_BFLOAT16 = "bfloat16"
_STORAGES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "BFloat16Storage": _BFLOAT16,
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "?",
}


@dataclass(frozen=True, slots=True)
class _StorageType:
    """Stands in for a torch storage class."""

    dtype: str


@dataclass(frozen=True, slots=True)
class _Storage:
    """A flat run of numbers of one type."""

    values: Array
    is_bfloat16: bool


def read_torch_checkpoint(path: Path) -> dict[str, Array]:
    """The state dict in a torch zip checkpoint, by name; bfloat16 comes as float32, all else in its own type.

    Raises ImportFailed naming the global, entry or tensor that it does not take.
    """
    with refusing_what_fails(path):
        try:
            archive = zipfile.ZipFile(path)
        except zipfile.BadZipFile as exc:
            raise ImportFailed(f"{path.name} is no zip checkpoint of torch 1.6 or later: {exc}.") from exc
        with archive:
            _check_entries(archive, path)
            return checked_state_dict(_Unpickler(archive, path).load(), path)


def _check_entries(archive: zipfile.ZipFile, path: Path) -> None:
    """Torch stores its entries without compression, so together they can never exceed the file."""
    entries = archive.infolist()
    for entry in entries:
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise ImportFailed(f"{path.name}: entry {entry.filename!r} is compressed; torch never does that.")
    if sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise ImportFailed(f"{path.name}: its entries claim more bytes than the file has.")


class _Unpickler(StateDictUnpickler):
    """Rebuilds tensors from the storages of the archive."""

    def __init__(self, archive: zipfile.ZipFile, path: Path) -> None:
        self._archive, self._path = archive, path
        self._prefix = self._find_prefix()
        self._storages: dict[str, _Storage] = {}
        self._budget = Budget(path)
        known = {("torch", name): _StorageType(dtype) for name, dtype in _STORAGES.items()} | {
            ("torch._utils", "_rebuild_tensor_v2"): self._rebuild_tensor,
            ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
        }
        super().__init__(io.BytesIO(self._read("data.pkl", _MAX_PICKLE_BYTES)), path.name, known)

    def persistent_load(self, pid: Any) -> _Storage:
        kind, storage_type, key, _location, numel = pid
        if kind != "storage" or not isinstance(storage_type, _StorageType) or not isinstance(key, str):
            raise ImportFailed(f"{self._path.name}: an unknown kind of storage: {kind!r}.")
        if key not in self._storages:
            self._storages[key] = self._read_storage(storage_type, key, int(numel))
        return self._storages[key]

    def _find_prefix(self) -> str:
        names = [name for name in self._archive.namelist() if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(names) != 1:
            raise ImportFailed(f"{self._path.name} holds {len(names)} entries named data.pkl, not one.")
        order = names[0].replace("data.pkl", "byteorder")
        if order in self._archive.namelist() and self._archive.read(order) != b"little":
            raise ImportFailed(f"{self._path.name} was written on a big-endian machine; save it again on another.")
        return names[0].removesuffix("data.pkl")

    def _read(self, name: str, limit_bytes: int) -> bytes:
        entry = self._archive.getinfo(self._prefix + name)
        if entry.file_size > limit_bytes:
            raise ImportFailed(f"{self._path.name}: entry {name} has {entry.file_size} bytes, more than it can need.")
        return self._archive.read(entry)

    def _read_storage(self, storage_type: _StorageType, key: str, numel: int) -> _Storage:
        is_bfloat16 = storage_type.dtype == _BFLOAT16
        dtype = np.dtype("<u2" if is_bfloat16 else storage_type.dtype)
        raw = self._read(f"data/{key}", numel * dtype.itemsize)
        if len(raw) != numel * dtype.itemsize:
            raise ImportFailed(f"{self._path.name}: storage {key} has {len(raw)} bytes, not {numel} numbers.")
        return _Storage(np.frombuffer(raw, dtype), is_bfloat16)

    def _rebuild_tensor(self, storage: _Storage, offset: int, size: Any, stride: Any, *_hooks: Any) -> Array:
        shape, strides = tuple(int(n) for n in size), tuple(int(n) for n in stride)
        values = storage.values[offset:]
        last = sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
        numel = int(np.prod(shape, dtype=np.float64))
        is_inside = (
            min((offset, *shape, *strides), default=0) >= 0 and last < max(values.size, 1) and numel <= values.size
        )
        if not is_inside:
            raise ImportFailed(f"{self._path.name}: a tensor of shape {shape} reaches outside its storage.")
        self._budget.spend(numel * 4)
        itemsize = values.dtype.itemsize
        view = np.lib.stride_tricks.as_strided(values, shape, [step * itemsize for step in strides], writeable=False)
        if storage.is_bfloat16:
            return (view.astype(np.uint32) << 16).view(np.float32)
        return np.ascontiguousarray(view).reshape(shape)


def _rebuild_parameter(data: Array, *_rest: Any) -> Array:
    return data

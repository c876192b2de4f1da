"""What the tests of several rooms share: sources of models, whole and spoilt."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

GOLDEN_DIR = Path(__file__).parents[1] / "data" / "wenet" / "u2pp_conformer"


@pytest.fixture
def golden_copy(tmp_path: Path) -> Callable[..., Path]:
    """Makes a copy of the golden source in which texts of files are replaced: copy({"train.yaml": (old, new)})."""

    def copy(changes: dict[str, tuple[str, str]] | None = None) -> Path:
        target = tmp_path / "source"
        shutil.copytree(GOLDEN_DIR, target)
        for name, (old, new) in (changes or {}).items():
            text = (target / name).read_text()
            assert old in text
            (target / name).write_text(text.replace(old, new, 1))
        return target

    return copy


def torch_pickle(tensors: dict[str, np.ndarray]) -> bytes:
    """The `data.pkl` of a state dict, opcode by opcode as torch writes it; storages are numbered in order."""
    ordered_dict = b"ccollections\nOrderedDict\n)R"

    def text(value: str) -> bytes:
        raw = value.encode()
        return b"X" + len(raw).to_bytes(4, "little") + raw

    def ints(values: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(b"J" + int(v).to_bytes(4, "little", signed=True) for v in values) + b"t"

    storages = {"f4": "FloatStorage", "f2": "HalfStorage", "u2": "BFloat16Storage", "i8": "LongStorage"}
    parts = [b"\x80\x02", ordered_dict, b"("]
    for key, (name, tensor) in enumerate(tensors.items()):
        storage = f"ctorch\n{storages[tensor.dtype.str[1:]]}\n".encode()
        strides = tuple(step // tensor.itemsize for step in tensor.strides)
        numel = b"J" + int(tensor.size).to_bytes(4, "little")
        persistent = b"(" + text("storage") + storage + text(str(key)) + text("cpu") + numel + b"tQ"
        arguments = b"(" + persistent + b"K\x00" + ints(tensor.shape) + ints(strides) + b"\x89" + ordered_dict + b"t"
        parts.append(text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n" + arguments + b"R")
    return b"".join([*parts, b"u."])


@pytest.fixture
def write_torch() -> Callable[[Path, dict[str, np.ndarray]], None]:
    """Writes a checkpoint as torch does, without torch; a uint16 array stands for bfloat16."""
    import zipfile

    def write(path: Path, tensors: dict[str, np.ndarray], *, pickled: bytes | None = None) -> None:
        whole = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("archive/data.pkl", pickled if pickled is not None else torch_pickle(whole))
            for key, tensor in enumerate(whole.values()):
                archive.writestr(f"archive/data/{key}", tensor.tobytes())

    return write

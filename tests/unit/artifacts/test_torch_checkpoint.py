"""Torch checkpoints are read without torch, and payloads in them are not run."""

import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from model_store.artifacts.torch_checkpoint import read_torch_checkpoint
from model_store.errors import ImportFailed

GOLDEN = Path(__file__).parents[2] / "data" / "wenet" / "u2pp_conformer"


class Payload:
    """Runs a command when it is unpickled by the ordinary unpickler."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return (os.system, (self.command,))


def _archive(path: Path, entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def test_read_torch_checkpoint_written_by_torch_gives_every_tensor():
    tensors = read_torch_checkpoint(GOLDEN / "final.pt")
    assert len(tensors) == 237
    assert tensors["encoder.embed.conv.0.weight"].shape == (64, 1, 3, 3)
    assert tensors["encoder.embed.out.0.weight"].dtype == np.float32
    # An independent source of the same numbers: the statistics file beside it.
    sums = json.loads((GOLDEN / "global_cmvn").read_text())
    mean = np.array(sums["mean_stat"]) / sums["frame_num"]
    np.testing.assert_allclose(tensors["encoder.global_cmvn.mean"], mean, rtol=1e-5)


def test_read_torch_checkpoint_with_narrow_types_gives_their_numbers(tmp_path, write_torch):
    exact = np.array([[1.5, -2.0, 0.25], [3.0, 0.0, -0.125]], np.float32)
    bfloat16 = (exact.view(np.uint32) >> 16).astype(np.uint16)
    write_torch(tmp_path / "m.pt", {"half": exact.astype(np.float16), "brain": bfloat16, "long": np.arange(3)})
    tensors = read_torch_checkpoint(tmp_path / "m.pt")
    np.testing.assert_array_equal(tensors["half"], exact)
    np.testing.assert_array_equal(tensors["brain"], exact)
    assert tensors["brain"].dtype == np.float32
    np.testing.assert_array_equal(tensors["long"], [0, 1, 2])


def test_read_torch_checkpoint_with_payload_refuses_it_by_name_and_does_not_run_it(tmp_path):
    witness = tmp_path / "was-run"
    pickled = pickle.dumps({"weight": Payload(f"touch {witness}")}, protocol=2)
    path = _archive(tmp_path / "m.pt", {"m/data.pkl": pickled})
    with pytest.raises(ImportFailed, match=r"posix\.system"):
        read_torch_checkpoint(path)
    assert not witness.exists()
    pickle.loads(pickled)["weight"]  # noqa: S301 - the payload is a real one
    assert witness.exists()


@pytest.mark.parametrize(
    "name", ["builtins\neval", "builtins\ngetattr", "numpy\nload", "torch\nload", "torch.hub\nload"]
)
def test_read_torch_checkpoint_with_any_other_global_refuses_it(tmp_path, name):
    path = _archive(tmp_path / "m.pt", {"m/data.pkl": b"\x80\x02c" + name.encode() + b"\n."})
    with pytest.raises(ImportFailed, match=name.replace("\n", r"\.")):
        read_torch_checkpoint(path)


def test_read_torch_checkpoint_compressed_refuses_it(tmp_path):
    bomb = {"m/data.pkl": b"\x80\x02}.", "m/data/0": bytes(50_000_000)}
    path = _archive(tmp_path / "m.pt", bomb, zipfile.ZIP_DEFLATED)
    with pytest.raises(ImportFailed, match="compressed"):
        read_torch_checkpoint(path)


def test_read_torch_checkpoint_with_short_storage_refuses_it(tmp_path, write_torch):
    write_torch(tmp_path / "m.pt", {"a": np.zeros(8, np.float32)})
    with zipfile.ZipFile(tmp_path / "m.pt") as archive:
        pickled = archive.read("archive/data.pkl")
    path = _archive(tmp_path / "short.pt", {"archive/data.pkl": pickled, "archive/data/0": bytes(16)})
    with pytest.raises(ImportFailed, match="storage 0 has 16 bytes"):
        read_torch_checkpoint(path)


@pytest.mark.parametrize(("old", "new"), [(8, 9), (8, 1 << 30)])
def test_read_torch_checkpoint_with_tensor_larger_than_its_storage_refuses_it(tmp_path, write_torch, old, new):
    write_torch(tmp_path / "m.pt", {"a": np.zeros(8, np.float32)})
    with zipfile.ZipFile(tmp_path / "m.pt") as archive:
        pickled = archive.read("archive/data.pkl")
    size = b"(J" + old.to_bytes(4, "little") + b"t"
    assert size in pickled
    changed = pickled.replace(size, b"(J" + new.to_bytes(4, "little") + b"t")
    write_torch(tmp_path / "m.pt", {"a": np.zeros(8, np.float32)}, pickled=changed)
    with pytest.raises(ImportFailed, match="outside its storage"):
        read_torch_checkpoint(tmp_path / "m.pt")


@pytest.mark.parametrize(
    "content",
    [b"", b"not a checkpoint", pickle.dumps({"a": 1}), b"PK\x03\x04 cut"],
    ids=["empty", "text", "old", "cut"],
)
def test_read_torch_checkpoint_of_something_else_refuses_it(tmp_path, content):
    (tmp_path / "m.pt").write_bytes(content)
    with pytest.raises(ImportFailed, match=r"m\.pt"):
        read_torch_checkpoint(tmp_path / "m.pt")


def test_read_torch_checkpoint_with_something_beside_tensors_names_it(tmp_path):
    path = _archive(tmp_path / "m.pt", {"m/data.pkl": pickle.dumps({"epoch": 3}, protocol=2)})
    with pytest.raises(ImportFailed, match="'epoch' is a int"):
        read_torch_checkpoint(path)

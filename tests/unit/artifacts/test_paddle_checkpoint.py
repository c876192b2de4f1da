"""Paddle checkpoints are read without Paddle, and payloads in them are not run."""

import os
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from model_store.artifacts.paddle_checkpoint import read_paddle_checkpoint
from model_store.errors import ImportFailed

GOLDEN = Path(__file__).parents[2] / "data" / "paddlespeech"
TENSORS = {
    "weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "turned": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "scalar": np.array(1.5, np.float16),
    "empty": np.zeros((0, 4), np.float32),
    "counter": np.array([7], np.int64),
}


class Payload:
    """Calls what it is told to when the ordinary unpickler reads it."""

    def __init__(self, function, *arguments) -> None:
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def _written(path: Path, content: object, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


def _refused(path: Path) -> str:
    with pytest.raises(ImportFailed) as refusal:
        read_paddle_checkpoint(path)
    return refusal.value.message


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_read_paddle_checkpoint_of_any_protocol_gives_every_tensor(tmp_path, protocol):
    names = {name: f"linear_{number}.w_0" for number, name in enumerate(TENSORS)}
    content = TENSORS | {"StructuredToParameterName@@": names}
    tensors = read_paddle_checkpoint(_written(tmp_path / "m.pdparams", content, protocol))
    assert tensors.keys() == TENSORS.keys()
    for name, expected in TENSORS.items():
        np.testing.assert_array_equal(tensors[name], expected)
        assert tensors[name].dtype == expected.dtype


def test_read_paddle_checkpoint_ordered_and_named_gives_its_tensors(tmp_path):
    # What paddle.save makes of tensors that are in no state dict of its own.
    named = OrderedDict(weight=Payload(tuple, ("linear_0.w_0", TENSORS["weight"])))
    tensors = read_paddle_checkpoint(_written(tmp_path / "m.pdparams", named))
    np.testing.assert_array_equal(tensors["weight"], TENSORS["weight"])


@pytest.mark.parametrize("name", ["conformer", "transformer", "chunk_conformer_u2pp"])
def test_read_paddle_checkpoint_written_by_paddle_gives_every_tensor(name):
    (path,) = GOLDEN.rglob(f"{name}.pdparams")
    tensors = read_paddle_checkpoint(path)
    assert tensors["ctc.ctc_lo.weight"].shape == (16, 30)
    assert {tensor.dtype for tensor in tensors.values()} == {np.dtype(np.float32)}
    # Nearly all of the file is numbers; protocol 2 writes half of the bytes as two.
    n_bytes = sum(tensor.nbytes for tensor in tensors.values())
    assert n_bytes < path.stat().st_size < 1.7 * n_bytes


def _cut(shape: tuple[int, ...]) -> dict[str, object]:
    flat = TENSORS["weight"].ravel()
    info = {"weight": {"OriginShape": shape, "slices": ["weight@@.0", "weight@@.1"]}}
    return {"weight@@.0": flat[:4], "weight@@.1": flat[4:], "UnpackBigParamInfor@@": info}


def test_read_paddle_checkpoint_with_cut_tensor_joins_it(tmp_path):
    tensors = read_paddle_checkpoint(_written(tmp_path / "m.pdparams", _cut((2, 3)), protocol=2))
    assert tensors.keys() == {"weight"}
    np.testing.assert_array_equal(tensors["weight"], TENSORS["weight"])


def test_read_paddle_checkpoint_with_wrong_cut_names_the_tensor(tmp_path):
    assert "slices of weight have 6 numbers" in _refused(_written(tmp_path / "m.pdparams", _cut((3, 3))))
    lacking = _cut((2, 3))
    del lacking["weight@@.1"]
    assert "slice of weight is missing" in _refused(_written(tmp_path / "m.pdparams", lacking))


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize(
    ("function", "told"),
    [(os.system, "posix.system"), (eval, "eval"), (exec, "exec"), (open, "open"), (getattr, "getattr")],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_read_paddle_checkpoint_with_payload_refuses_it_by_name_and_does_not_run_it(tmp_path, function, told, protocol):
    witness = tmp_path / "was-run"
    arguments = {
        os.system: (f"touch {witness}",),
        eval: (f"open({str(witness)!r}, 'w')",),
        exec: (f"open({str(witness)!r}, 'w')",),
        open: (str(witness), "w"),
        getattr: (os, "system"),
    }[function]
    if function is getattr:
        # A module cannot be pickled; a builtin's own module can be reached through its name.
        arguments = (open, "__self__")
    path = _written(tmp_path / "m.pdparams", {"weight": Payload(function, *arguments)}, protocol)
    assert told in _refused(path)
    assert not witness.exists()
    with path.open("rb") as stream:
        pickle.load(stream)  # noqa: S301 - the payload is a real one
    assert witness.exists() or function is getattr


@pytest.mark.parametrize(
    "name", ["numpy\nload", "numpy.core.multiarray\nscalar", "paddle\nload", "subprocess\nPopen", "copyreg\n__newobj__"]
)
def test_read_paddle_checkpoint_with_any_other_global_refuses_it(tmp_path, name):
    (tmp_path / "m.pdparams").write_bytes(b"\x80\x02c" + name.encode() + b"\n.")
    assert name.replace("\n", ".") in _refused(tmp_path / "m.pdparams")


def test_read_paddle_checkpoint_with_objects_in_an_array_refuses_it(tmp_path):
    witness = tmp_path / "was-run"
    hidden = np.array([{"payload": 1}, None], dtype=object)
    assert "numpy.dtype('O8')" in _refused(_written(tmp_path / "m.pdparams", {"weight": hidden}))
    hidden[0] = Payload(os.system, f"touch {witness}")
    assert "numpy.dtype" in _refused(_written(tmp_path / "m.pdparams", {"weight": hidden}))
    assert not witness.exists()


@pytest.mark.parametrize("dtype", ["f4,i4", "S8", "U4", "M8[s]", "c16", "V8"])
def test_read_paddle_checkpoint_with_no_numbers_refuses_them(tmp_path, dtype):
    path = _written(tmp_path / "m.pdparams", {"weight": np.zeros(2, dtype)})
    assert "numpy.dtype" in _refused(path)


def test_read_paddle_checkpoint_big_endian_refuses_it(tmp_path):
    assert "big-endian" in _refused(_written(tmp_path / "m.pdparams", {"weight": np.zeros(2, ">f4")}))


@pytest.mark.parametrize("shape", [(2, 4), (1 << 62,), (-1, -6), (1 << 40, 0, 1)])
def test_read_paddle_checkpoint_with_shape_larger_than_its_bytes_refuses_it(tmp_path, shape):
    class Misshapen:
        def __reduce__(self):
            rebuild, arguments, (version, _, *rest) = TENSORS["weight"].__reduce__()
            return rebuild, arguments, (version, shape, *rest)

    path = _written(tmp_path / "m.pdparams", {"weight": Misshapen()})
    assert "cannot have 24 bytes" in _refused(path)


def test_read_paddle_checkpoint_that_asks_for_memory_before_its_values_gets_none(tmp_path):
    # The ordinary reader would set a terabyte aside.
    rebuild = TENSORS["weight"].__reduce__()[0]
    path = _written(tmp_path / "m.pdparams", {"weight": Payload(rebuild, np.ndarray, (1 << 40,), b"b")})
    assert "'weight' is a NoneType" in _refused(path)
    path = _written(tmp_path / "m.pdparams", {"weight": Payload(bytes, 1 << 40)})
    assert "TypeError" in _refused(path)


def test_read_paddle_checkpoint_that_unfolds_without_end_refuses_it(tmp_path):
    # Many arrays over the same bytes, which the pickle holds once.
    rebuild, arguments, (version, _, dtype, order, _) = TENSORS["weight"].__reduce__()
    raw = bytes(40_000)

    class Again:
        def __reduce__(self):
            return rebuild, arguments, (version, (10_000,), dtype, order, raw)

    parts = {f"weight@@.{number}": Again() for number in range(20)}
    assert "unfold to far more bytes" in _refused(_written(tmp_path / "m.pdparams", parts))


@pytest.mark.parametrize(
    "content",
    [b"", b"not a checkpoint", pickle.dumps([1, 2]), pickle.dumps({}), pickle.dumps(TENSORS)[:200]],
    ids=["empty", "text", "list", "nothing", "cut"],
)
def test_read_paddle_checkpoint_of_something_else_refuses_it(tmp_path, content):
    (tmp_path / "m.pdparams").write_bytes(content)
    assert "m.pdparams" in _refused(tmp_path / "m.pdparams")


@pytest.mark.parametrize("entry", [{"epoch": 3}, {"optimizer": {"lr": np.zeros(1)}}, {7: np.zeros(1)}, {"a": [1.0]}])
def test_read_paddle_checkpoint_with_something_beside_tensors_names_it(tmp_path, entry):
    message = _refused(_written(tmp_path / "m.pdparams", entry))
    assert f"entry {next(iter(entry))!r}" in message

"""What is OpenVINO's alone: what it compiled is kept and shared, and nobody is told that it is used."""

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from model_store.artifacts.graphs import ENCODER, can_convert, read_record
from model_store.artifacts.store import ArtifactStore
from model_store.engines.openvino import OpenVinoEngine
from model_store.errors import LoadFailed

pytestmark = pytest.mark.skipif(not can_convert(), reason="the extra `openvino` is not installed")


@pytest.fixture
def graph_dir(golden, tmp_path: Path, monkeypatch) -> Path:
    """The golden model's graphs for OpenVINO, that nobody has loaded from here."""
    from model_store.importers import conversion

    monkeypatch.setattr(conversion, "stuck_at", lambda *_: "")  # takes seconds, and has a test of its own
    store, digest = ArtifactStore(golden.version_dir.parents[1]), golden.version_dir.name
    conversion.convert(digest, store)
    return shutil.copytree(store.graph_dir(digest, "openvino"), tmp_path / "graphs")


def answer(graph_dir: Path, golden) -> np.ndarray:
    engine = OpenVinoEngine(graph_dir, ENCODER, read_record(graph_dir).graphs[ENCODER])
    clip = golden.features[0]
    return engine.run({"feats": clip[None], "lengths": np.array([len(clip)], np.int64)}, ["log_probs"])["log_probs"]


def kept(graph_dir: Path) -> list[Path]:
    return sorted(graph_dir.with_name(f"{graph_dir.name}-compiled").iterdir())


def test_load_keeps_what_was_compiled_beside_the_graphs_and_nothing_else(golden, graph_dir):
    first = answer(graph_dir, golden)
    (blob,) = kept(graph_dir)
    np.testing.assert_array_equal(answer(graph_dir, golden), first)
    assert kept(graph_dir) == [blob]


def test_load_by_two_at_once_leaves_one_whole_compilation(golden, graph_dir):
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: answer(graph_dir, golden), range(2))
    np.testing.assert_array_equal(first, second)
    assert len(kept(graph_dir)) == 1


@pytest.mark.parametrize("content", [b"", b"\0" * 1000, None], ids=["empty", "other", "half"])
def test_load_over_a_compilation_that_is_not_whole_compiles_again(golden, graph_dir, content):
    expected = answer(graph_dir, golden)
    (blob,) = kept(graph_dir)
    whole = blob.read_bytes()
    blob.unlink()
    blob.write_bytes(whole[: len(whole) // 2] if content is None else content)
    np.testing.assert_array_equal(answer(graph_dir, golden), expected)
    assert blob.stat().st_size >= len(whole) // 2


def test_load_where_nothing_can_be_kept_loads_all_the_same(golden, graph_dir):
    graph_dir.with_name(f"{graph_dir.name}-compiled").write_text("a file where a folder would be")
    np.testing.assert_allclose(answer(graph_dir, golden)[0], golden.log_probs[0], atol=0.08)


def test_load_on_a_gpu_raises_load_failed(graph_dir):
    with pytest.raises(LoadFailed, match="CPUs alone"):
        OpenVinoEngine(graph_dir, ENCODER, read_record(graph_dir).graphs[ENCODER], device="gpu:0")


def test_preload_starts_no_thread_and_loads_nothing_that_tells_of_it():
    program = """
import os, sys
from model_store.engines.openvino import preload
preload()
print(len(os.listdir("/proc/self/task")), "openvino" in sys.modules, sys.modules.get("openvino_telemetry"))
"""
    # numpy's own threads are counted too, unless it has none.
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert done.stdout.split() == ["1", "True", "None"]

"""A version is optimised for one GPU: checked before it is kept, and kept under all that it depends on.

TensorRT is stood in for by something that copies the graph, and the GPU by the CPU: all around them is real.
"""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from model_store.artifacts import graphs
from model_store.artifacts.files import verify
from model_store.artifacts.graphs import (
    ENCODER,
    MAX_CLIPS,
    MAX_FRAMES,
    Fit,
    Gpu,
    graph_key,
    model_file,
    params_file,
    read_record,
)
from model_store.artifacts.store import ArtifactStore
from model_store.errors import ImportFailed
from model_store.importers import checking, optimizing
from model_store.importers.optimizing import optimize, shapes_of
from model_store.importers.process import optimize_version
from model_store.predictors.batching import MAX_RUN_FRAMES, bucket_of
from model_store.predictors.hypotheses import AsrOptions
from model_store.predictors.load import load

FIT = Fit(Gpu("NVIDIA H200", "9.0", "570.124.06"), "fp32")


def copied(graph_dir: Path, graph: str, shapes: Sequence[Mapping[str, Any]], target: Path, precision: str) -> None:
    """A conversion that changes nothing."""
    for name in (model_file(graph), params_file(graph)):
        shutil.copyfile(graph_dir / name, target / name)
    (target / graph).mkdir()
    (target / graph / "engine_1_1.trt").write_bytes(b"an engine")


@pytest.fixture
def _stand_in(monkeypatch) -> None:
    monkeypatch.setattr(optimizing, "require", lambda: "10.5.0")
    monkeypatch.setattr(optimizing, "convert", copied)
    monkeypatch.setattr(optimizing, "_SHAPES", ((1, 32), (3, 96), (MAX_CLIPS, 320)))


def left(store: ArtifactStore, digest: str) -> set[str]:
    return {path.name for path in (store.root / "graphs" / digest).iterdir()}


@pytest.mark.usefixtures("_stand_in")
def test_optimize_keeps_the_graphs_with_what_was_found_under_what_they_are_for(store, digest):
    record = optimize(digest, store, FIT, "cpu")
    assert store.optimized(digest, FIT) == record == read_record(store.graph_dir(digest, "tensorrt", FIT))
    assert (record.engine, record.precisions, record.libraries, record.fit) == ("tensorrt", ("fp32",), "10.5.0", FIT)
    assert set(record.off) == {ENCODER}
    assert record.off[ENCODER] < 1e-6
    files = {"encoder.json", "encoder.pdiparams", "encoder/engine_1_1.trt", "decoder.json", "decoder.pdiparams"}
    assert set(record.files) == files
    assert record.graphs == read_record(store.graph_dir(digest)).graphs


@pytest.mark.usefixtures("_stand_in")
def test_optimize_what_was_made_can_be_loaded_and_answers_as_before(store, digest, golden):
    optimize(digest, store, FIT, "cpu")
    told: dict[str, Any] = {"precision": "fp32", "threads": 1}
    texts = []
    for engine, fit in (("paddle", None), ("tensorrt", FIT)):
        predictor = load(store.version_dir(digest), store.graph_dir(digest, engine, fit), engine=engine, **told)
        clips = [np.random.default_rng(0).normal(0.0, 0.1, 16_000).astype(np.float32)] * 10
        found = predictor.predict(clips, [AsrOptions()] * 10).outcomes
        texts.append([one.hypotheses[0].text for one in found])
    assert texts[0] == texts[1]


@pytest.mark.usefixtures("_stand_in")
def test_optimize_again_makes_nothing_anew_and_a_changed_engine_is_made_again(store, digest, monkeypatch):
    first = optimize(digest, store, FIT, "cpu")
    monkeypatch.setattr(optimizing, "require", lambda: pytest.fail("it was made anew"))
    assert optimize(digest, store, FIT, "cpu") == first
    monkeypatch.setattr(optimizing, "require", lambda: "10.6.0")
    engine = store.graph_dir(digest, "tensorrt", FIT) / "encoder" / "engine_1_1.trt"
    engine.chmod(0o644)
    engine.write_bytes(b"something else")
    assert optimize(digest, store, FIT, "cpu").libraries == "10.6.0"
    verify(store.graph_dir(digest, "tensorrt", FIT), first.files)


@pytest.mark.usefixtures("_stand_in")
def test_optimize_for_another_gpu_or_precision_is_kept_beside(store, digest):
    optimize(digest, store, FIT, "cpu")
    other = msgspec.structs.replace(FIT, gpu=Gpu("NVIDIA L4", "8.9", "570.124.06"))
    assert store.optimized(digest, other) is None
    optimize(digest, store, other, "cpu")
    assert len(left(store, digest)) == 3


def changed(change: Callable[[dict[str, Any]], object]) -> type:
    """An engine for TensorRT whose answers are spoilt."""

    class Spoilt(checking.TensorRtEngine):
        def run(self, inputs: Any, wanted: Any) -> Any:
            found = super().run(inputs, wanted)
            change(found)
            return found

    return Spoilt


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found.update(log_probs=found["log_probs"] + 0.2),
        lambda found: found.update(log_probs=found["log_probs"] * np.nan),
        lambda found: found.update(log_probs=found["log_probs"][:0]),
        lambda found: found.update(encoded_frames=found["encoded_frames"] - 1),
    ],
    ids=["off", "nan", "empty", "short"],
)
@pytest.mark.usefixtures("_stand_in")
def test_optimize_what_answers_otherwise_is_refused_and_leaves_nothing(store, digest, monkeypatch, change):
    monkeypatch.setattr(checking, "TensorRtEngine", changed(change))
    with pytest.raises(ImportFailed, match=r"The encoder optimised for TensorRT is .* off in fp32; 0\.05 would do"):
        optimize(digest, store, FIT, "cpu")
    assert left(store, digest) == {graph_key()}
    assert not list((store.root / "staging").iterdir())


def test_shapes_go_from_the_smallest_run_to_the_largest(golden):
    from model_store.artifacts.store import read_manifest

    found = list(shapes_of(read_manifest(golden.version_dir)))
    assert [one["feats"].shape for one in found] == [(1, 32, 80), (4, 320, 80), (MAX_CLIPS, MAX_FRAMES, 80)]
    assert bucket_of(1) == 32
    assert MAX_FRAMES == MAX_RUN_FRAMES
    assert all(one["lengths"].tolist() == [one["feats"].shape[1]] * len(one["feats"]) for one in found)


@pytest.mark.parametrize(
    "change",
    [
        lambda fit: msgspec.structs.replace(fit, precision="fp16"),
        lambda fit: msgspec.structs.replace(fit, gpu=msgspec.structs.replace(fit.gpu, name="NVIDIA L4")),
        lambda fit: msgspec.structs.replace(fit, gpu=msgspec.structs.replace(fit.gpu, compute="8.9")),
        lambda fit: msgspec.structs.replace(fit, gpu=msgspec.structs.replace(fit.gpu, driver="580.1")),
    ],
)
def test_graph_key_differs_by_all_that_engines_depend_on(change):
    assert graph_key("tensorrt", change(FIT)) != graph_key("tensorrt", FIT)


@pytest.mark.parametrize("what", ["paddle_version", "tensorrt_version", "NETS_REVISION", "MAX_CLIPS", "MAX_FRAMES"])
def test_graph_key_differs_by_libraries_networks_and_the_range_of_shapes(monkeypatch, what):
    before = graph_key("tensorrt", FIT)
    monkeypatch.setattr(graphs, what, 99 if what.isupper() else lambda: "99.9")
    assert graph_key("tensorrt", FIT) != before


def test_graph_key_is_a_name_of_a_folder():
    odd = Fit(Gpu("NVIDIA A100/80GB PCIe ../..", "8.0", "570"), "fp16")
    assert "/" not in graph_key("tensorrt", odd)
    assert len(graph_key("tensorrt", FIT)) < 200


async def test_optimize_version_on_a_machine_without_a_gpu_says_what_is_missing(store, digest):
    import paddle

    if paddle.is_compiled_with_cuda():
        pytest.skip("this Paddle is built for GPUs")
    with pytest.raises(ImportFailed, match="built for CPUs"):
        await optimize_version(digest, store, FIT, 0)
    assert left(store, digest) == {graph_key()}


async def test_optimize_version_has_the_process_see_that_gpu_alone(store, digest, monkeypatch, tmp_path):
    from model_store.importers import process

    script = tmp_path / "python"
    told = 'import json, os, sys; print(json.dumps({"off": {"encoder": 0.01}, "asked": sys.argv[1:], **os.environ}))'
    script.write_text(f"#!{shutil.which('python3')}\n{told}\n")
    script.chmod(0o755)
    monkeypatch.setattr(process.sys, "executable", str(script))
    heard: list[dict[str, Any]] = []
    results_of = process._results_of

    async def listening(*command: str, **how: Any) -> list[dict[str, Any]]:
        heard.extend(await results_of(*command, **how))
        return heard

    monkeypatch.setattr(process, "_results_of", listening)
    assert await optimize_version(digest, store, FIT, 3) == {"encoder": 0.01}
    assert (heard[0]["CUDA_VISIBLE_DEVICES"], heard[0]["CUDA_DEVICE_ORDER"]) == ("3", "PCI_BUS_ID")
    asked = heard[0]["asked"]
    assert asked[2:4] == ["optimize", digest]
    assert msgspec.convert(json.loads(asked[asked.index("--fit") + 1]), Fit) == FIT

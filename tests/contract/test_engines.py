"""What an engine promises, held against Paddle and OpenVINO with the same graphs."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from model_store.artifacts.graphs import DECODER, ENCODER, EngineName, can_convert, graph_key, model_file, read_record
from model_store.artifacts.store import ArtifactStore, read_manifest
from model_store.engines import seam
from model_store.engines.choice import make_engine
from model_store.engines.cpu import is_bf16_processor
from model_store.engines.seam import Engine
from model_store.errors import ArtifactCorrupt, LoadFailed, PredictFailed
from model_store.predictors.hypotheses import AsrOptions
from model_store.predictors.load import load
from model_store.predictors.rescoring import Rescorer
from model_store.predictors.search import Path as Text

needs_openvino = pytest.mark.skipif(not can_convert(), reason="the extra `openvino` is not installed")
# OpenVINO's weights have 8 bits.
TOLERANCE = {"paddle": 1e-4, "openvino": 0.08}
Make = Callable[..., Engine]


@pytest.fixture(params=["paddle", pytest.param("openvino", marks=needs_openvino)])
def name(request) -> EngineName:
    return request.param


@pytest.fixture
def graph_dir(golden, name: EngineName, monkeypatch) -> Path:
    """Where this engine's graphs of the golden model are."""
    if name == "openvino":
        from model_store.importers import conversion

        monkeypatch.setattr(conversion, "stuck_at", lambda *_: "")  # takes seconds, and has a test of its own
        conversion.convert(golden.version_dir.name, ArtifactStore(golden.version_dir.parents[1]))
    return golden.graph_dir.with_name(graph_key(name))


@pytest.fixture
def make(name: EngineName, graph_dir: Path) -> Make:
    def made(graph: str = ENCODER, precision: str = "fp32", threads: int = 1, device: str = "cpu") -> Engine:
        outputs = read_record(graph_dir).graphs[graph]
        return make_engine(name, graph_dir, graph, outputs, precision=precision, threads=threads, device=device)

    return made


def inputs_of(*clips: np.ndarray) -> dict[str, np.ndarray]:
    feats = np.full((len(clips), max(map(len, clips)), 80), 7.0, np.float32)
    for row, clip in zip(feats, clips, strict=True):
        row[: len(clip)] = clip
    return {"feats": feats, "lengths": np.array([len(clip) for clip in clips], np.int64)}


def test_run_copies_out_only_what_is_wanted(golden, make, name):
    outputs = make().run(inputs_of(golden.features[0]), ["encoded_frames", "log_probs"])
    assert set(outputs) == {"encoded_frames", "log_probs"}
    np.testing.assert_allclose(outputs["log_probs"][0], golden.log_probs[0], atol=TOLERANCE[name])


def test_run_with_other_lengths_one_after_another_keeps_the_answers(golden, make, name):
    engine, found = make(threads=2), []
    for clip in golden.features * 2:
        found.append(engine.run(inputs_of(clip), ["log_probs"])["log_probs"][0])
    # Compared when all have run: what was given stays as it was.
    for one, expected in zip(found, golden.log_probs * 2, strict=True):
        np.testing.assert_allclose(one, expected, atol=TOLERANCE[name])


def test_run_of_a_padded_batch_hears_each_clip_as_it_is_alone(golden, make, name):
    found = make().run(inputs_of(*golden.features), ["log_probs", "encoded_frames"])
    for row, n, expected in zip(found["log_probs"], found["encoded_frames"], golden.log_probs, strict=True):
        np.testing.assert_allclose(row[:n], expected, atol=TOLERANCE[name])


def test_run_of_a_decoder_judges_texts_as_wenet_does(golden, make, name):
    shape, answers = read_manifest(golden.version_dir).decoder, golden.answers
    options = AsrOptions(ctc_weight=answers["ctc_weight"], reverse_weight=answers["reverse_weight"])
    judge = Rescorer(shape, make(DECODER))
    for encoded, heard, expected in zip(golden.encoded, answers["prefix_beam5"], answers["rescoring"], strict=True):
        best, *_ = judge(encoded, [Text(tuple(one["tokens"]), one["score"]) for one in heard], options)
        assert list(best.path.tokens) == expected["tokens"]
        assert best.path.score == pytest.approx(expected["score"], abs=10 * TOLERANCE[name])


@pytest.mark.skipif(not is_bf16_processor(), reason="this processor has no bfloat16")
def test_run_in_bf16_stays_near_fp32_and_leaves_fp32_as_it_was(golden, make, name):
    for precision, least, most in (("bf16", 1e-4, 0.1), ("fp32", 0.0, TOLERANCE[name])):
        outputs = make(precision=precision).run(inputs_of(golden.features[0]), ["log_probs"])
        assert least < np.abs(outputs["log_probs"][0] - golden.log_probs[0]).max() < most


def test_run_with_a_wrong_shape_raises_predict_failed_and_the_next_answers(golden, make, name):
    engine = make()
    with pytest.raises(PredictFailed, match="cannot run the encoder"):
        engine.run(inputs_of(golden.features[0]) | {"feats": np.zeros((1, 50, 40), np.float32)}, ["log_probs"])
    found = engine.run(inputs_of(golden.features[0]), ["log_probs"])["log_probs"][0]
    np.testing.assert_allclose(found, golden.log_probs[0], atol=TOLERANCE[name])


def test_load_bf16_on_a_processor_without_it_raises_load_failed(make, monkeypatch):
    monkeypatch.setattr(seam, "is_bf16_processor", lambda: False)
    with pytest.raises(LoadFailed, match="bf16"):
        make(precision="bf16")


def test_load_in_fp16_on_a_cpu_raises_load_failed(make):
    with pytest.raises(LoadFailed, match="fp16 needs a GPU"):
        make(precision="fp16")


def test_load_of_a_damaged_graph_raises_load_failed(graph_dir, name, tmp_path):
    damaged, outputs = shutil.copytree(graph_dir, tmp_path / "graph"), read_record(graph_dir).graphs[DECODER]
    program = damaged / model_file(DECODER, name)
    program.chmod(0o644)
    program.write_text("{}")
    with pytest.raises(LoadFailed, match="cannot load the decoder"):
        make_engine(name, damaged, DECODER, outputs, precision="fp32", threads=1)


def test_predictor_of_an_engine_with_graphs_for_another_raises_artifact_corrupt(golden, graph_dir, name):
    other: EngineName = "openvino" if name == "paddle" else "paddle"
    with pytest.raises(ArtifactCorrupt, match="something else"):
        load(golden.version_dir, graph_dir, precision="fp32", threads=1, engine=other)

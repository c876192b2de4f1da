"""OpenVINO's graphs are made beside Paddle's, or there is a record of why not, and Paddle serves."""

from pathlib import Path

import numpy as np
import pytest

from model_store.artifacts.graphs import DECODER, ENCODER, can_convert, read_record
from model_store.artifacts.store import ArtifactStore
from model_store.engines import compression
from model_store.engines.cpu import best_cpu_precision, is_bf16_processor
from model_store.importers import checking, conversion
from model_store.importers.__main__ import _import_job
from model_store.importers.conversion import convert
from model_store.importers.process import make_graphs
from model_store.importers.request import ImportRequest
from model_store.importers.shapes import shapes, stuck_at
from model_store.predictors.batching import runs_of

needs_openvino = pytest.mark.skipif(not can_convert(), reason="the extra `openvino` is not installed")


@pytest.fixture
def _quick(monkeypatch) -> None:
    """Without the runs of all shapes, which take seconds."""
    monkeypatch.setattr(conversion, "stuck_at", lambda *_: "")


@needs_openvino
@pytest.mark.usefixtures("_quick")
def test_convert_records_files_precisions_and_where_they_came_from(store, digest):
    convert(digest, store)
    record = read_record(store.graph_dir(digest, "openvino"))
    assert record == store.converted(digest)
    assert (record.engine, record.version, record.refused) == ("openvino", digest, "")
    assert set(record.files) == {"encoder.xml", "encoder.bin", "decoder.xml", "decoder.bin"}
    assert (record.precisions, record.weight_bits) == ((best_cpu_precision(),), 8)
    assert record.graphs == read_record(store.graph_dir(digest)).graphs


@needs_openvino
@pytest.mark.usefixtures("_quick")
def test_convert_keeps_weights_in_less_than_half_the_bytes(store, digest):
    convert(digest, store)
    for graph in (ENCODER, DECODER):
        kept = (store.graph_dir(digest, "openvino") / f"{graph}.bin").stat().st_size
        whole = (store.graph_dir(digest) / f"{graph}.pdiparams").stat().st_size
        assert kept < 0.5 * whole


@needs_openvino
@pytest.mark.usefixtures("_quick")
def test_convert_takes_16_bits_where_8_answer_otherwise(store, digest, monkeypatch):
    monkeypatch.setattr(compression, "_LARGEST", 3)  # as if weights had three bits
    convert(digest, store)
    record = store.converted(digest)
    assert (record.weight_bits, record.refused) == (16, "")


@needs_openvino
def test_convert_what_answers_otherwise_is_refused_and_the_record_says_so(store, digest, monkeypatch):
    monkeypatch.setattr(checking, "_TOLERANCE", 1e-9)
    convert(digest, store)
    record = store.converted(digest)
    assert (record.graphs, record.files, record.precisions) == ({}, {}, ())
    assert "converted for OpenVINO is" in record.refused
    assert store.has_graph(digest)


@needs_openvino
@pytest.mark.skipif(not is_bf16_processor(), reason="this processor has no bfloat16")
def test_convert_that_is_farther_off_in_bf16_than_paddle_is_refused(store, digest, monkeypatch):
    monkeypatch.setattr(checking, "_ROUNDED_RATIO", -100.0)
    convert(digest, store)
    assert "in bf16" in store.converted(digest).refused


@needs_openvino
def test_convert_that_gets_stuck_is_refused(store, digest, monkeypatch):
    monkeypatch.setattr(conversion, "stuck_at", lambda *_: "8 x 416 frames")
    convert(digest, store)
    assert "does not come back from 8 x 416 frames" in store.converted(digest).refused


@needs_openvino
@pytest.mark.usefixtures("_quick")
def test_stuck_at_tells_the_shape_that_nothing_was_heard_of(store, digest):
    convert(digest, store)
    where = store.graph_dir(digest, "openvino")
    assert stuck_at(where, "fp32", 80, patience_s=0.0) == "the start"
    assert stuck_at(where.with_name("nowhere"), "fp32", 80) == "the start"


def test_shapes_are_those_of_runs_that_are_made_of_batches_of_eight():
    made = {
        (len(run.items), run.feats.shape[1])
        for n in range(32, 3073, 37)
        for clips in (1, 3, 8)
        for run in runs_of([np.zeros((n, 1), np.float32)] * clips, 8)
    }
    assert made <= set(shapes())


@needs_openvino
def test_convert_a_graph_that_cannot_be_read_is_refused_once(store, digest, monkeypatch):
    def fail(*_: object) -> Path:
        raise RuntimeError("no such operation")

    monkeypatch.setattr(conversion, "to_onnx", fail)
    convert(digest, store)
    assert store.converted(digest).refused == "RuntimeError: no such operation"
    monkeypatch.undo()
    convert(digest, store)
    assert store.converted(digest).refused


def test_convert_without_the_extra_leaves_no_record(store, digest, monkeypatch):
    monkeypatch.setattr(conversion, "can_convert", lambda: False)
    convert(digest, store)
    assert store.converted(digest) is None


@needs_openvino
async def test_make_graphs_converts_what_was_imported_before(store, digest):
    await make_graphs([digest], store)
    assert store.converted(digest).precisions


@needs_openvino
@pytest.mark.usefixtures("_quick")
def test_import_job_converts(golden, tmp_path):
    store = ArtifactStore(tmp_path)
    imported = _import_job(ImportRequest(source=str(golden.source), name="m", language="zh"), store)()
    assert store.converted(imported.version).precisions


@pytest.mark.parametrize(
    ("found", "answers", "expected"),
    [
        ([0.1, -1.0], [0.1, -1.5], 0.5),
        ([-20.0], [-24.0], 4.0 / 4.8),
        ([np.nan], [0.0], np.nan),
    ],
)
def test_farthest_is_the_worst_number_and_unlikely_ones_count_less(found, answers, expected):
    got = checking._farthest([{"a": np.array(found)}], [{"a": np.array(answers)}])
    assert got == pytest.approx(expected, nan_ok=True)


def test_farthest_of_a_padded_batch_looks_at_no_padding():
    theirs = {"log_probs": np.zeros((2, 3, 1)), "top_ids": np.zeros((2, 3, 1)), "encoded_frames": np.array([3, 1])}
    mine = {"log_probs": np.zeros((2, 3, 1)), "top_ids": np.ones((2, 3, 1)), "encoded_frames": np.array([3, 1])}
    mine["log_probs"][1, 1:] = 9.0
    assert checking._farthest([mine], [theirs]) == 0.0
    mine["log_probs"][0, 2] = 9.0
    assert checking._farthest([mine], [theirs]) == 9.0


def of(*rows: list[float], **more: object) -> dict[str, np.ndarray]:
    """The answer of an encoder for one clip, whose frames have these probabilities."""
    return {"log_probs": np.log(np.array([rows])), "encoded_frames": np.array([len(rows)]), **more}


def test_moved_is_the_share_of_probability_in_the_mean_over_frames():
    found, answer = of([0.9, 0.1], [0.3, 0.7]), of([0.8, 0.2], [0.3, 0.7])
    assert checking._moved([found], [answer]) == pytest.approx(0.05)
    assert checking._moved([found], [answer | {"encoded_frames": np.array([1])}]) == pytest.approx(0.1)


def test_moved_hardly_sees_what_is_unlikely_and_fails_with_what_is_no_number():
    unlikely, less = of([1.0, 1e-7]), of([1.0, 1e-9])
    assert checking._moved([less], [unlikely]) < 1e-6
    assert np.isnan(checking._moved([of([np.nan, 1.0])], [unlikely]))


def test_moved_of_a_decoder_and_a_classifier_is_that_of_their_probabilities():
    tokens = {"token_log_probs": np.log([0.5, 0.25]), "reverse_token_log_probs": np.log([0.5, 0.5])}
    assert checking._moved([tokens], [tokens | {"token_log_probs": np.log([0.5, 0.45])}]) == pytest.approx(0.05)
    found, answer = {"log_posteriors": np.log([[0.6, 0.4]])}, {"log_posteriors": np.log([[0.7, 0.3]])}
    assert checking._moved([found], [answer]) == pytest.approx(0.1)

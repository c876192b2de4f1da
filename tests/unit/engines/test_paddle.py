"""Paddle Inference around the golden graphs."""

import shutil

import numpy as np
import pytest

from model_store.artifacts.graphs import DECODER, ENCODER, model_file, read_record
from model_store.engines import paddle as engine_module
from model_store.engines.cpu import is_bf16_processor
from model_store.engines.paddle import PaddleEngine
from model_store.errors import LoadFailed, PredictFailed


def _inputs(golden) -> dict[str, np.ndarray]:
    clip = golden.features[0]
    return {"feats": clip[None], "lengths": np.array([len(clip)], np.int64)}


def _engine(golden, **how) -> PaddleEngine:
    return PaddleEngine(golden.graph_dir, ENCODER, read_record(golden.graph_dir).graphs[ENCODER], **how)


def test_run_copies_out_only_what_is_wanted(golden):
    outputs = _engine(golden).run(_inputs(golden), ["encoded_frames", "log_probs"])
    assert set(outputs) == {"encoded_frames", "log_probs"}
    np.testing.assert_allclose(outputs["log_probs"][0], golden.log_probs[0], atol=1e-4)


def test_run_with_other_lengths_one_after_another_keeps_the_answers(golden):
    engine = _engine(golden, threads=2)
    for clip, expected in list(zip(golden.features, golden.log_probs, strict=True)) * 2:
        inputs = {"feats": clip[None], "lengths": np.array([len(clip)], np.int64)}
        np.testing.assert_allclose(engine.run(inputs, ["log_probs"])["log_probs"][0], expected, atol=1e-4)


@pytest.mark.skipif(not is_bf16_processor(), reason="this processor has no bfloat16")
def test_run_in_bf16_stays_near_fp32(golden):
    outputs = _engine(golden, precision="bf16").run(_inputs(golden), ["log_probs"])
    difference = np.abs(outputs["log_probs"][0] - golden.log_probs[0]).max()
    assert 1e-4 < difference < 0.1


def test_run_with_a_wrong_shape_raises_predict_failed(golden):
    with pytest.raises(PredictFailed, match="cannot run the encoder"):
        _engine(golden).run(_inputs(golden) | {"feats": np.zeros((1, 50, 40), np.float32)}, ["log_probs"])


def test_load_bf16_on_a_processor_without_it_raises_load_failed(golden, monkeypatch):
    monkeypatch.setattr(engine_module, "is_bf16_processor", lambda: False)
    with pytest.raises(LoadFailed, match="bf16"):
        _engine(golden, precision="bf16")


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"precision": "fp16"}, "fp16 needs a GPU"),
        ({"device": "gpu:0", "precision": "bf16"}, "bf16"),
        ({"device": "gpu:0", "precision": "fp16"}, "built for CPUs|no gpu:0"),
        ({"device": "tpu"}, "Unknown device 'tpu'"),
    ],
)
def test_load_on_a_device_that_cannot_raises_load_failed(golden, how, told):
    import paddle

    if paddle.is_compiled_with_cuda() and paddle.device.cuda.device_count() and "no gpu" in told:
        pytest.skip("there is a GPU")
    with pytest.raises(LoadFailed, match=told):
        _engine(golden, **how)


def test_load_of_a_damaged_graph_raises_load_failed(golden, tmp_path):
    damaged = shutil.copytree(golden.graph_dir, tmp_path / "graph")
    (damaged / model_file(DECODER)).chmod(0o644)
    (damaged / model_file(DECODER)).write_text("{}")
    with pytest.raises(LoadFailed, match="cannot load the decoder"):
        PaddleEngine(damaged, DECODER, read_record(golden.graph_dir).graphs[DECODER])

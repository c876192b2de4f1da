"""The best units of each frame, from what the graph chose or from all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_store.errors import PredictFailed
from model_store.predictors.frames import Frames


def _outputs(seed: int = 0, n_units: int = 30, k: int = 4, n_frames: int = 6) -> dict[str, np.ndarray]:
    log_probs = np.log(np.random.default_rng(seed).dirichlet(np.ones(n_units), (2, 8))).astype(np.float32)
    ids = np.argsort(-log_probs, axis=2)[:, :, :k].astype(np.int32)
    return {
        "top_log_probs": np.take_along_axis(log_probs, ids, 2),
        "top_ids": ids,
        "blank_log_probs": log_probs[:, :, 0],
        "encoded_frames": np.array([8, n_frames]),
        "log_probs": log_probs,
        "encoded": np.arange(2 * 8 * 3, dtype=np.float32).reshape(2, 8, 3),
    }


@given(st.integers(0, 1000), st.integers(1, 40))
def test_best_of_any_number_are_the_best_and_in_order(seed, n):
    outputs = _outputs(seed)
    log_probs, ids = Frames(outputs, 1).best(n)
    expected = -np.sort(-outputs["log_probs"][1, :6], axis=1)
    assert log_probs.shape[1] >= min(n, 30)
    np.testing.assert_array_equal(log_probs, expected[:, : log_probs.shape[1]])
    np.testing.assert_array_equal(np.take_along_axis(outputs["log_probs"][1, :6], ids, 1), log_probs)
    assert ids.dtype == np.int32


def test_frames_of_a_padded_clip_are_its_own():
    frames = Frames(_outputs(), 1)
    assert len(frames.blank) == len(frames.encoded) == len(frames.best(2)[0]) == 6
    assert frames.encoded[0, 0] == 24


def test_best_without_all_units_is_what_the_graph_chose():
    outputs = _outputs()
    del outputs["log_probs"]
    assert Frames(outputs, 0).best(10)[0].shape == (8, 4)


def test_frames_that_are_not_finite_raise_predict_failed():
    outputs = _outputs()
    outputs["top_log_probs"][1, 2] = np.inf
    assert Frames(outputs, 0)
    with pytest.raises(PredictFailed, match="finite"):
        Frames(outputs, 1)

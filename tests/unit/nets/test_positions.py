"""Which frame is which, and which of them a frame may see."""

import math

import numpy as np
import paddle
import pytest

from model_store.nets.positions import in_chunks, penalty_of, present, sinusoids


def test_sinusoids_match_the_formula_of_the_paper():
    table = sinusoids(50, 8)[0]
    for position in (0, 1, 49):
        for i in range(4):
            angle = position / 10000 ** (2 * i / 8)
            assert table[position, 2 * i] == pytest.approx(math.sin(angle), abs=1e-5)
            assert table[position, 2 * i + 1] == pytest.approx(math.cos(angle), abs=1e-5)


def test_present_is_one_on_the_frames_of_each_clip():
    assert present(paddle.to_tensor([3, 0, 1]), 3).numpy().tolist() == [[1, 1, 1], [0, 0, 0], [1, 0, 0]]


@pytest.mark.parametrize("chunk_frames", [1, 2, 3, 7, 10])
@pytest.mark.parametrize("left_chunks", [-1, 0, 1, 2])
def test_in_chunks_lets_a_frame_see_its_chunk_and_those_to_the_left(chunk_frames, left_chunks):
    expected = np.zeros((7, 7))
    for frame in range(7):
        first = frame // chunk_frames - left_chunks if left_chunks >= 0 else 0
        expected[frame, max(first, 0) * chunk_frames : (frame // chunk_frames + 1) * chunk_frames] = 1
    np.testing.assert_array_equal(in_chunks(7, chunk_frames, left_chunks).numpy(), expected)


def test_penalty_of_hides_what_is_not_seen_and_leaves_the_rest_alone():
    scores = paddle.to_tensor([50.0, -3.0, -3.0]) - penalty_of(paddle.to_tensor([0.0, 1.0, 1.0]))
    np.testing.assert_allclose(paddle.nn.functional.softmax(scores).numpy(), [0.0, 0.5, 0.5], atol=1e-20)

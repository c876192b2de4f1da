"""From feature frames to encoder frames."""

import paddle
import pytest

from model_store.artifacts.manifest import SUBSAMPLINGS
from model_store.nets.subsampling import Subsampling, subsampled


@pytest.mark.parametrize("kind", SUBSAMPLINGS)
def test_subsampled_says_what_the_convolutions_give(kind, conformer):
    shape, layer = conformer(subsampling=kind), Subsampling(kind, 80, 4)
    for n_frames in range(shape.min_frames, shape.min_frames + 3 * shape.stride_frames):
        frames = layer(paddle.zeros([1, 1, n_frames, 80]))
        assert frames.shape == [1, subsampled(kind, paddle.to_tensor([n_frames])).item(), 4]


@pytest.mark.parametrize("kind", SUBSAMPLINGS)
def test_subsampled_of_too_few_frames_is_zero(kind, conformer):
    too_few = conformer(subsampling=kind).min_frames - 1
    for n_frames in range(too_few + 1):
        assert subsampled(kind, paddle.to_tensor([n_frames])).item() == 0


@pytest.mark.parametrize(("kind", "stride", "least"), [("conv2d", 4, 7), ("conv2d6", 6, 11), ("conv2d8", 8, 15)])
def test_shape_knows_the_frames_that_wenet_states(conformer, kind, stride, least):
    # wenet/transformer/subsampling.py: subsampling_rate, and right_context + 1.
    shape = conformer(subsampling=kind)
    assert (shape.stride_frames, shape.min_frames) == (stride, least)

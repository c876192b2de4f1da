"""The encoders, before they are exported."""

import numpy as np
import pytest

from model_store.nets.encoder import Encoder

SHAPES = {
    "conformer": ("conformer", {}),
    "causal": ("conformer", {"is_causal": True}),
    "even kernel": ("conformer", {"is_causal": True, "conv_kernel": 8}),
    "batch norm": ("conformer", {"conv_norm": "batch_norm"}),
    "absolute": ("conformer", {"positions": "absolute"}),
    "conv2d6": ("conformer", {"subsampling": "conv2d6"}),
    "conv2d8": ("transformer", {"subsampling": "conv2d8"}),
    "transformer": ("transformer", {}),
}


@pytest.fixture(params=SHAPES.values(), ids=SHAPES)
def shape(request):
    kind, changed = request.param
    return request.getfixturevalue(kind)(**changed)


def test_encoder_clip_in_a_padded_batch_gives_the_same_as_alone(shape, clips, run):
    net = Encoder(shape)
    long, short = clips(96, 41)
    together, alone = run(net, [long, short], 128), run(net, [short])
    n_frames = int(alone[2][0])
    assert n_frames > 0
    assert together[2].tolist() == [(96 - shape.min_frames) // shape.stride_frames + 1, n_frames]
    np.testing.assert_allclose(together[0][1, :n_frames], alone[0][0], atol=1e-5)


def test_encoder_keep_marks_the_frames_of_the_clip(shape, clips, run):
    _, keep, n_frames = run(Encoder(shape), clips(96, 41))
    assert keep[..., 0].sum(axis=1).tolist() == n_frames.tolist()


def test_encoder_frames_in_another_order_are_told_apart(shape, clips, run):
    """Positions are known: with two stretches of sound exchanged, the frames are not merely exchanged."""
    net, stride = Encoder(shape), shape.stride_frames
    (sound,) = clips(shape.min_frames)
    still = np.zeros((10 * stride + shape.min_frames, 80), np.float32)
    early, late = still.copy(), still.copy()
    early[: len(sound)] = sound
    late[8 * stride : 8 * stride + len(sound)] = sound
    first, second = run(net, [early])[0][0], run(net, [late])[0][0]
    assert np.abs(first[0] - second[8]).max() > 1e-3


def test_encoder_with_one_chunk_over_all_gives_the_full_context(conformer, clips, run):
    net, features = Encoder(conformer(is_causal=True)), clips(96)
    np.testing.assert_allclose(run(net, features, chunk_frames=100)[0], run(net, features)[0], atol=1e-6)


@pytest.mark.parametrize(("left_chunks", "last_reached"), [(-1, 23), (0, 8), (1, 16)])
def test_encoder_in_chunks_hears_what_it_may(conformer, clips, run, left_chunks, last_reached):
    """Of 23 frames in chunks of 8, a sound in the first chunk is heard so far, and one in the last never before it."""
    net, (clip,) = Encoder(conformer(is_causal=True, conv_kernel=1, blocks=1)), clips(96)

    def hear(changed_frame: int | None = None) -> np.ndarray:
        heard = clip.copy()
        if changed_frame is not None:
            heard[changed_frame] += 1.0
        return run(net, [heard], chunk_frames=8, left_chunks=left_chunks)[0][0]

    early, late = (np.abs(hear(at) - hear()).max(axis=1) > 0 for at in (0, 80))
    assert early.tolist() == [frame < last_reached for frame in range(23)]
    assert late.tolist() == [frame >= 16 for frame in range(23)]

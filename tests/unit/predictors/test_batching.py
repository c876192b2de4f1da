"""Clips are grouped to few shapes of bounded size."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gateway.audio import SAMPLE_RATE_HZ
from model_store.predictors.batching import MAX_RUN_FRAMES, bucket_of, features_of, runs_of, warm_up_features
from model_store.predictors.features import Fbank
from model_store.predictors.predictor import PCM_RATE_HZ


@given(st.integers(1, 20_000))
def test_bucket_of_holds_the_clip_and_wastes_little(n_frames):
    bucket = bucket_of(n_frames)
    assert n_frames <= bucket <= max(n_frames + 31, n_frames * 9 // 8)
    assert bucket % 32 == 0


def test_bucket_of_half_a_minute_gives_few_shapes():
    assert len({bucket_of(n) for n in range(1, 3001)}) < 50


@given(st.lists(st.integers(0, 7000), max_size=12), st.sampled_from([7, 11, 15]))
def test_runs_of_takes_each_usable_clip_once_and_never_too_much(n_frames, min_frames):
    features = [np.full((n, 2), i, np.float32) for i, n in enumerate(n_frames)]
    runs = list(runs_of(features, min_frames))
    assert sorted(item for run in runs for item in run.items) == [i for i, n in enumerate(n_frames) if n >= min_frames]
    for run in runs:
        assert run.feats.shape[0] == 1 or run.feats.shape[0] * run.feats.shape[1] <= MAX_RUN_FRAMES
        for row, length, item in zip(run.feats, run.lengths, run.items, strict=True):
            assert length == n_frames[item]
            assert (row[:length] == item).all()
            assert not row[length:].any()


def test_warm_up_features_fill_a_run():
    largest = max(run.feats.shape[0] * run.feats.shape[1] for batch in warm_up_features(2) for run in runs_of(batch, 7))
    assert largest > MAX_RUN_FRAMES * 0.9


def test_features_of_a_clip_for_a_model_of_8_khz_are_those_of_the_clip_at_8_khz():
    times = np.arange(16000) / 16000
    clip = (0.3 * np.sin(2 * np.pi * 440 * times) + 0.1 * np.sin(2 * np.pi * 1300 * times)).astype(np.float32)
    (found,) = features_of([clip], Fbank(8000))
    expected = Fbank(8000)(clip[::2])  # as it is: nothing above 4 kHz
    assert found.shape == expected.shape
    tones = expected > expected.max() - 12
    np.testing.assert_allclose(found[tones], expected[tones], atol=0.02)


def test_pcm_rate_of_predictors_is_what_the_gateway_sends():
    assert PCM_RATE_HZ == SAMPLE_RATE_HZ

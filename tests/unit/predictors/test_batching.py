"""Clips are grouped to few shapes of bounded size."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from model_store.predictors.batching import MAX_RUN_FRAMES, MIN_FRAMES, bucket_of, runs_of, warm_up_features


@given(st.integers(1, 20_000))
def test_bucket_of_holds_the_clip_and_wastes_little(n_frames):
    bucket = bucket_of(n_frames)
    assert n_frames <= bucket <= max(n_frames + 31, n_frames * 9 // 8)
    assert bucket % 32 == 0


def test_bucket_of_half_a_minute_gives_few_shapes():
    assert len({bucket_of(n) for n in range(1, 3001)}) < 50


@given(st.lists(st.integers(0, 7000), max_size=12))
def test_runs_of_takes_each_usable_clip_once_and_never_too_much(n_frames):
    features = [np.full((n, 2), i, np.float32) for i, n in enumerate(n_frames)]
    runs = list(runs_of(features))
    assert sorted(item for run in runs for item in run.items) == [i for i, n in enumerate(n_frames) if n >= MIN_FRAMES]
    for run in runs:
        assert run.feats.shape[0] == 1 or run.feats.shape[0] * run.feats.shape[1] <= MAX_RUN_FRAMES
        for row, length, item in zip(run.feats, run.lengths, run.items, strict=True):
            assert length == n_frames[item]
            assert (row[:length] == item).all()
            assert not row[length:].any()


def test_warm_up_features_fill_a_run():
    largest = max(run.feats.shape[0] * run.feats.shape[1] for batch in warm_up_features(2) for run in runs_of(batch))
    assert largest > MAX_RUN_FRAMES * 0.9

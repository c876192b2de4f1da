"""The first guess of who is spoken when."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from model_store.starter.flatstart import NOT_SPEECH, flat_alignment, flat_loss  # noqa: E402
from model_store.starter.network import encoder_frames  # noqa: E402


def clip(*stretches: tuple[int, float]) -> np.ndarray:
    """(T, 80) features of so many frames of such loudness each."""
    return np.concatenate([np.full((n_frames, 80), level, np.float32) for n_frames, level in stretches])


def test_alignment_shares_loud_frames_evenly_and_leaves_out_quiet_ones() -> None:
    features = clip((41, 2.0), (80, 12.0), (40, 2.0), (80, 12.0), (42, 2.0))
    units = flat_alignment(features, [7, 8, 9, 5])
    assert len(units) == int(encoder_frames(torch.tensor(len(features))))
    counts = {unit: int((units == unit).sum()) for unit in (7, 8, 9, 5)}
    assert counts == {7: 10, 8: 10, 9: 10, 5: 10}
    spoken = units[units != NOT_SPEECH].tolist()
    assert spoken == [7] * 10 + [8] * 10 + [9] * 10 + [5] * 10


@pytest.mark.parametrize("n_frames", [7, 11, 50])
def test_alignment_of_an_even_clip_has_no_speech_and_its_length(n_frames: int) -> None:
    units = flat_alignment(clip((n_frames, 3.0)), [4])
    assert len(units) == int(encoder_frames(torch.tensor(n_frames)))
    assert set(units.tolist()) == {NOT_SPEECH}


def test_flat_loss_counts_speech_frames_only() -> None:
    logits = torch.randn(2, 3, 5)
    alignments = [torch.tensor([1, NOT_SPEECH]), torch.tensor([NOT_SPEECH, 2, 4])]
    log_probs = logits.log_softmax(-1)
    wanted = -(log_probs[0, 0, 1] + log_probs[1, 1, 2] + log_probs[1, 2, 4]) / 3
    torch.testing.assert_close(flat_loss(logits, alignments), wanted)

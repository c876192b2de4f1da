"""Training a starter recogniser: CTC, and an attention decoder beside it (U2, Zhang et al. 2020, arXiv 2012.05481)."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from model_store.predictors.features import Float32Array
from model_store.starter import batches, package, plans
from model_store.starter.corpus import Clip, Corpus, corpus_of
from model_store.starter.decoder import NO_TARGET, DecoderShape, shifted
from model_store.starter.flatstart import flat_alignment, flat_loss
from model_store.starter.network import EncoderShape, GlobalCmvn, Recogniser, encoder_frames
from model_store.starter.package import CTC_WEIGHT, LABEL_SMOOTHING
from model_store.starter.scoring import character_error_rate, collapse
from model_store.starter.training import fit
from model_store.starter.units import END, Units

EVALUATION_BATCH = 28
FLAT_WEIGHT = 0.9


class RecogniserTask:
    """Clips of one language, the network, and its loss."""

    def __init__(
        self, corpus: Corpus, units: Units, shape: EncoderShape, decoder: DecoderShape | None, seed: int
    ) -> None:
        """Draw first weights from `seed`, and the CMVN statistics from the training clips."""
        torch.manual_seed(seed)
        self.corpus = corpus
        self.units = units
        cmvn = statistics(corpus.training)
        network = Recogniser(shape, cmvn, len(units.symbols), decoder)
        self.network = network.to(memory_format=torch.channels_last)
        self._distort = batches.Distortion(cmvn.mean.numpy())
        self._targets = [units.numbers(clip.text) for clip in corpus.training]
        clips = zip(corpus.training, self._targets, strict=True)
        self._alignments = [flat_alignment(clip.features, target) for clip, target in clips]

    def groups(self, size: int, rng: random.Random, is_sorted: bool) -> list[list[int]]:
        """Give the batches of one epoch."""
        return batches.by_length([len(clip.features) for clip in self.corpus.training], size, rng, is_sorted)

    def loss(self, items: Sequence[int], ease: float, rng: random.Random) -> Tensor:
        """Per unit, mean over the batch: CTC, at first mostly the flat alignment in its place, and the decoder's."""
        distorted = [self._distort(self.corpus.training[i].features.astype(np.float32), 1.0 - ease, rng) for i in items]
        features, lengths = batches.padded(distorted)
        said, wanted = shifted([self._targets[i] for i in items], END)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits, encoded, keep = self.network.heard(features, lengths)
            next_units = self.network.decoder(encoded, keep, said) if self.network.decoder else None
        heard = self._ctc_loss(logits.float(), lengths, items, ease)
        if next_units is None:
            return heard
        spelt = functional.cross_entropy(
            next_units.float().transpose(1, 2), wanted, ignore_index=NO_TARGET, label_smoothing=LABEL_SMOOTHING
        )
        return CTC_WEIGHT * heard + (1 - CTC_WEIGHT) * spelt

    def _ctc_loss(self, logits: Tensor, lengths: Tensor, items: Sequence[int], ease: float) -> Tensor:
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
    frames = np.concatenate([clip.features for clip in clips])
    mean = frames.mean(0, dtype=np.float64)
    spread = np.sqrt(np.square(frames, dtype=np.float32).mean(0, dtype=np.float64) - mean**2)
    return GlobalCmvn(torch.from_numpy(mean).float(), torch.from_numpy(1.0 / spread).float())


def greedily(logits: Tensor) -> list[int]:
    """Read the best unit of each encoder frame; logits: (T, V)."""
    return collapse(logits.argmax(-1).tolist())


def read_clips(
    network: Recogniser, clips: Sequence[Clip], units: Units, read: Callable[[Tensor], list[int]] = greedily
) -> list[str]:
    """Recognise clips; the texts come in the order of the clips. `read` makes units of one clip's logits."""
    return read_features(network, [clip.features for clip in clips], units, read)


def read_features(
    network: Recogniser,
    clips: Sequence[Float32Array],
    units: Units,
    read: Callable[[Tensor], list[int]] = greedily,
) -> list[str]:
    """As `read_clips`, from features (T, 80)."""
    network.eval()
    order = sorted(range(len(clips)), key=lambda i: len(clips[i]))
    readings = [""] * len(clips)
    with torch.inference_mode():
        for start in range(0, len(order), EVALUATION_BATCH):
            items = order[start : start + EVALUATION_BATCH]
            features, lengths = batches.padded([clips[i] for i in items])
            logits = network(features, lengths).float()
            for item, row, n_frames in zip(items, logits, encoder_frames(lengths), strict=True):
                readings[item] = units.text(read(row[: int(n_frames)]))
    return readings


def train(name: str, work: Path, bundle: Path) -> RecogniserTask:
    """Train the recogniser `name`, or finish what was begun in `work`; a base's weights are read from `bundle`."""
    recipe = plans.RECIPES[name]
    corpus = corpus_of(recipe.grammar, work)
    if recipe.beside is not None:
        grammar, count = recipe.beside
        corpus = Corpus(corpus.training + corpus_of(grammar, work).training[:count], corpus.heldout)
    task = RecogniserTask(corpus, plans.units_of(name), plans.ENCODER, plans.DECODER, recipe.plan.seed)
    if recipe.base is not None:
        package.read_base(bundle / recipe.base, task.network, task.units)
    fit(task, recipe.plan, work / name)
    return task

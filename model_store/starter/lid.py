"""Training the language classifier on the recognisers' clips, whole and cut, and on sounds without speech."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from model_store.predictors.features import Fbank, Float32Array
from model_store.starter import batches, sounds, speech
from model_store.starter.asr import statistics
from model_store.starter.corpus import N_HELDOUT, SEED, Clip, corpus_of, crowd_of
from model_store.starter.network import EncoderShape, LanguageClassifier
from model_store.starter.texts.languages import GRAMMARS, LANGUAGES
from model_store.starter.training import Plan, fit

LABELS = (*LANGUAGES, "other")
# Of each grammar so many clips: a language that has more of them would be the better guess.
N_OF_A_LANGUAGE = 4500
SHAPE = EncoderShape(output_size=64, linear_units=192, num_blocks=2)
PLAN = Plan(epochs=6, batch_size=32, averaged=2, gentle_epochs=1.0, sorted_epochs=0)
N_SOUNDS, N_HELDOUT_SOUNDS = 2500, 160
BABBLE_SHARE = 0.2
CUT_SHARE = 0.6
CUT_FRAMES = (98, 598)  # 1 to 6 seconds
EVALUATION_BATCH = 32


@dataclass(frozen=True)
class Labelled:
    """A clip and the number of its label."""

    clip: Clip
    label: int


class ClassifierTask:
    """Clips of every label, the network, and its loss."""

    def __init__(self, training: list[Labelled], heldout: list[Labelled], shape: EncoderShape, seed: int) -> None:
        """Draw first weights from `seed`, and the CMVN statistics from the clips that are speech."""
        torch.manual_seed(seed)
        self.training, self.heldout = training, heldout
        cmvn = statistics([item.clip for item in training if LABELS[item.label] != "other"])
        self.network = LanguageClassifier(shape, cmvn, len(LABELS)).to(memory_format=torch.channels_last)
        self._distort = batches.Distortion(cmvn.mean.numpy())

    def groups(self, size: int, rng: random.Random, is_sorted: bool) -> list[list[int]]:
        """Give the batches of one epoch; lengths are the clips' own, though many will be cut."""
        return batches.by_length([len(item.clip.features) for item in self.training], size, rng, is_sorted)

    def loss(self, items: Sequence[int], ease: float, rng: random.Random) -> Tensor:
        """Cross entropy, mean over the batch."""
        # One length for the whole batch: cutting each differently would leave most of the batch padding.
        cut = rng.randint(*CUT_FRAMES) if rng.random() < CUT_SHARE else None
        chosen = [cut_of(self.training[i].clip.features, cut, rng) for i in items]
        features, lengths = batches.padded([self._distort(x.astype(np.float32), 1.0 - ease, rng) for x in chosen])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = self.network(features, lengths)
        return functional.cross_entropy(logits.float(), torch.tensor([self.training[i].label for i in items]))

    def error_rate(self) -> float:
        """Share of held-out clips, whole, whose label is got wrong."""
        probabilities = classify(self.network, [item.clip.features for item in self.heldout])
        return 1.0 - accuracy(probabilities, [item.label for item in self.heldout])


def cut_of(features: Float32Array, n_frames: int | None, rng: random.Random) -> Float32Array:
    """A random stretch of `n_frames` feature frames; everything where that is None or more than there is."""
    if n_frames is None or n_frames >= len(features):
        return features
    start = rng.randint(0, len(features) - n_frames)
    return features[start : start + n_frames]


def classify(network: LanguageClassifier, clips: Sequence[Float32Array]) -> Float32Array:
    """Give (N, labels) probabilities for N clips of (T, 80) features."""
    network.eval()
    order = sorted(range(len(clips)), key=lambda i: len(clips[i]))
    probabilities = np.zeros((len(clips), len(LABELS)), dtype=np.float32)
    with torch.inference_mode():
        for start in range(0, len(order), EVALUATION_BATCH):
            items = order[start : start + EVALUATION_BATCH]
            features, lengths = batches.padded([clips[i] for i in items])
            probabilities[items] = torch.softmax(network(features, lengths), dim=-1).numpy()
    return probabilities


def accuracy(probabilities: Float32Array, labels: Sequence[int]) -> float:
    """Share of rows whose most probable label is the right one."""
    return float((probabilities.argmax(-1) == np.asarray(labels)).mean())


def labelled_clips(work: Path) -> tuple[list[Labelled], list[Labelled]]:
    """Collect training and held-out clips of all labels, of each language about as many."""
    training, heldout = [], []
    for label, language in enumerate(LANGUAGES):
        grammars = [grammar for grammar in GRAMMARS.values() if grammar.language == language]
        for grammar in grammars:
            corpus = corpus_of(grammar, work)
            training += [Labelled(clip, label) for clip in corpus.training[: N_OF_A_LANGUAGE // len(grammars)]]
            heldout += [Labelled(clip, label) for clip in corpus.heldout[: N_HELDOUT // len(grammars)]]
    other = LABELS.index("other")
    training += [Labelled(clip, other) for clip in sound_clips(N_SOUNDS, speech.TRAINING_VARIANTS, SEED)]
    heldout += [Labelled(clip, other) for clip in sound_clips(N_HELDOUT_SOUNDS, speech.HELDOUT_VARIANTS, SEED + 1)]
    return training, heldout


def sound_clips(count: int, variants: Sequence[str], seed: int) -> list[Clip]:
    """Make clips of 1 to 7 s without speech; the voices of the babble are `variants`."""
    rng = np.random.default_rng(seed)
    voices = _crowd(variants)
    clips, fbank = [], Fbank()
    for _ in range(count):
        n_samples = int(rng.uniform(1.0, 7.0) * speech.SAMPLE_RATE_HZ)
        if rng.random() < BABBLE_SHARE:
            name, x = "babble", sounds.babble(n_samples, rng, voices)
        else:
            sound = sounds.SOUNDS[rng.integers(len(sounds.SOUNDS))]
            name, x = sound.__name__, sound(n_samples, rng)
        pcm = speech.to_int16(x).astype(np.float32) / 32768.0
        clips.append(Clip("", name, 0, n_samples, fbank(pcm).astype(np.float16)))
    return clips


def _crowd(variants: Sequence[str]) -> list[Float32Array]:
    return [voice for language in LANGUAGES for voice in crowd_of(GRAMMARS[language], variants, SEED)[:8]]


def train(work: Path) -> ClassifierTask:
    """Train the language classifier, or finish what was begun in `work`."""
    task = ClassifierTask(*labelled_clips(work), SHAPE, PLAN.seed)
    fit(task, PLAN, work / "lid")
    return task

"""Scoring a language classifier on the frozen sets, and on sounds that are no speech."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from model_store.predictors.hypotheses import Identification, LidOptions
from model_store.predictors.predictor import Predictor
from model_store.starter.conditions import heard_through
from model_store.starter.frozen import read_set
from model_store.starter.scoring import calibration_error, rate_of
from model_store.starter.sounds import SOUNDS, babble
from model_store.starter.speech import SAMPLE_RATE_HZ, Float32Array
from model_store.starter.texts.languages import GRAMMARS
from tests.bench.markdown import markdown_table

N_SOUNDS = 210
SOUND_SEED = 11
CONDITION_SEED = 4
HARD_PAIR = {"zh", "yue"}


class Judged(NamedTuple):
    """What was spoken, what it was taken for, and how surely."""

    truth: str
    label: str
    confidence: float


def score_language(predictor: Predictor, folder: Path) -> str:
    """Judge the clips of every set and as many sounds as half a set has; a table in Markdown."""
    spoken = [(clip.language, samples) for name in GRAMMARS for clip, samples in read_set(folder, name)]
    clips = spoken + [("other", samples) for samples in _sounds([samples for _, samples in spoken])]
    heads = ["clips", "condition", "right (95 %)", "zh and yue confused", "calibration error", "right of each"]
    heads.append("ms per second of audio")
    rows = []
    for condition in ("clean", "first", "g711", "noise20"):
        heard = heard_through(condition, [samples for _, samples in clips], CONDITION_SEED)
        began_s = time.process_time()
        judged = [_judge(predictor, truth, samples) for (truth, _), samples in zip(clips, heard, strict=True)]
        spent_ms = (time.process_time() - began_s) * 1000
        seconds = sum(samples.size for samples in heard) / SAMPLE_RATE_HZ
        rows.append([str(len(clips)), condition, *_figures(judged), f"{spent_ms / seconds:.2f}"])
    return markdown_table(heads, rows)


def _sounds(voices: Sequence[Float32Array]) -> list[Float32Array]:
    rng = np.random.default_rng(SOUND_SEED)
    made = []
    for index in range(N_SOUNDS):
        n_samples = int(rng.uniform(1.5, 5.0) * SAMPLE_RATE_HZ)
        kind = index % (len(SOUNDS) + 1)
        made.append(SOUNDS[kind](n_samples, rng) if kind < len(SOUNDS) else babble(n_samples, rng, voices))
    return made


def _judge(predictor: Predictor, truth: str, samples: Float32Array) -> Judged:
    (outcome,) = predictor.predict([samples], [LidOptions()]).outcomes
    assert isinstance(outcome, Identification)
    label, confidence = max(outcome.posteriors.items(), key=lambda one: one[1])
    return Judged(truth, label, confidence)


def _figures(judged: Sequence[Judged]) -> list[str]:
    are_right = [one.truth == one.label for one in judged]
    right = rate_of(are_right, [1] * len(judged))
    pair = [one for one in judged if one.truth in HARD_PAIR]
    confused = rate_of([one.label in HARD_PAIR and one.label != one.truth for one in pair], [1] * len(pair))
    gap = calibration_error([one.confidence for one in judged], are_right)
    shares = [
        f"{truth} {np.mean([one.label == truth for one in judged if one.truth == truth]):.1%}"
        for truth in dict.fromkeys(one.truth for one in judged)
    ]
    return [str(right), str(confused), f"{gap:.3f}", ", ".join(shares)]

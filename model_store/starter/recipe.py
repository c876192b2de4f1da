"""From nothing to a bundled model: corpus, training, packaging, and a measurement of what was packaged."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from model_store.predictors.features import Fbank, Float32Array
from model_store.starter import asr, card, frozen, lid, package, plans
from model_store.starter.scoring import error_rate
from model_store.starter.speech import SAMPLE_RATE_HZ

CUTS_S = (3.0, 1.5)
CUT_SEED = 7


def build(name: str, work: Path, bundle: Path, frozen_sets: Path | None) -> None:
    """Train and package one model: a recogniser, or `lid`; its card says how it does on the frozen sets if given."""
    facts = _build_classifier(work, bundle) if name == "lid" else _build_recogniser(name, work, bundle, frozen_sets)
    (bundle / name / "README.md").write_text(card.card(facts), encoding="utf-8")
    print(f"{name}: " + "; ".join(facts.results), flush=True)


def _build_recogniser(name: str, work: Path, bundle: Path, frozen_sets: Path | None) -> card.Facts:
    task = asr.train(name, work, bundle)
    folder, network = bundle / name, task.network
    n_frames = sum(len(clip.features) for clip in task.corpus.training)
    config = package.recogniser_config(plans.ENCODER, plans.DECODER, task.units)
    cmvn = package.cmvn_json(network.encoder.global_cmvn, n_frames)
    package.write(folder, network, config, task.units.as_table(), cmvn)
    package.read_weights(folder, network)
    n_texts = len({clip.text for clip in task.corpus.training})
    kind = "pieces of words" if task.units.has_pieces else "characters"
    return card.Facts(
        name=name,
        kind=f"A conformer encoder with a CTC head over {kind} and a transformer decoder",
        n_weights=_size(network),
        data=f"{len(task.corpus.training)} clips, {task.corpus.training_hours:.2f} hours, {n_texts} different texts, "
        f"{len(task.units.symbols)} units ({kind}).",
        plan=plans.RECIPES[name].plan,
        base=plans.RECIPES[name].base,
        minutes=card.minutes_of(work / name / "log.jsonl"),
        results=(*_frozen_results(task, name, frozen_sets), *_heldout_results(task)),
        note=card.note_of(work / name),
    )


def _frozen_results(task: asr.RecogniserTask, name: str, frozen_sets: Path | None) -> list[str]:
    if frozen_sets is None:
        return []
    fbank = Fbank()
    clips = [(clip.text, fbank(x)) for clip, x in frozen.read_set(frozen_sets, name)]
    readings = asr.read_features(task.network, [features for _, features in clips], task.units)
    rate = error_rate([text for text, _ in clips], readings)
    return [f"frozen set {name}: error rate {rate} on {len(clips)} utterances (greedy CTC)"]


def _heldout_results(task: asr.RecogniserTask) -> list[str]:
    clips = task.corpus.heldout
    truths, readings = [clip.text for clip in clips], asr.read_clips(task.network, clips, task.units)
    exact = sum(truth == reading for truth, reading in zip(truths, readings, strict=True))
    return [
        f"held-out clips of training: error rate {error_rate(truths, readings)}, {exact} of {len(clips)} without any "
        "error (greedy CTC; noise, telephone and codec as in training)"
    ]


def _build_classifier(work: Path, bundle: Path) -> card.Facts:
    task = lid.train(work)
    folder, network = bundle / "lid", task.network
    speech_clips = [item.clip for item in task.training if lid.LABELS[item.label] != "other"]
    cmvn = package.cmvn_json(network.encoder.global_cmvn, sum(len(clip.features) for clip in speech_clips))
    table = "".join(f"{label} {number}\n" for number, label in enumerate(lid.LABELS))
    package.write(folder, network, package.classifier_config(lid.SHAPE, len(lid.LABELS)), table, cmvn)
    package.read_weights(folder, network)
    hours = sum(item.clip.n_samples for item in task.training) / SAMPLE_RATE_HZ / 3600
    return card.Facts(
        name="lid",
        kind=f"A small conformer, averaged over time, and a linear layer over {', '.join(lid.LABELS)}",
        n_weights=_size(network),
        data=f"{len(task.training)} clips, {hours:.2f} hours: those of the recognisers and {lid.N_SOUNDS} "
        "without speech (silence, noise, tones, chords, clicks, babble), whole and cut to 1-6 s.",
        plan=lid.PLAN,
        base=None,
        minutes=card.minutes_of(work / "lid" / "log.jsonl"),
        results=_classifier_results(task),
        note=card.note_of(work / "lid"),
    )


def _classifier_results(task: lid.ClassifierTask) -> tuple[str, ...]:
    labels = [item.label for item in task.heldout]
    whole = lid.classify(task.network, [item.clip.features for item in task.heldout])
    lines = [f"{lid.accuracy(whole, labels):.2%} right on {len(labels)} whole clips; {_by_label(whole, labels)}"]
    for seconds in CUTS_S:
        rng = random.Random(CUT_SEED)
        # Frames of 10 ms whose windows of 25 ms fill the cut exactly as the same cut of the samples would.
        n_frames = round(seconds * 100) - 2
        cuts = [lid.cut_of(item.clip.features, n_frames, rng) for item in task.heldout]
        cut = lid.classify(task.network, cuts)
        lines.append(f"{lid.accuracy(cut, labels):.2%} right on cuts of {seconds} s; {_by_label(cut, labels)}")
    return tuple(lines)


def _by_label(probabilities: Float32Array, labels: Sequence[int]) -> str:
    shares = []
    for number, label in enumerate(lid.LABELS):
        rows = [i for i, wanted in enumerate(labels) if wanted == number]
        shares.append(f"{label} {lid.accuracy(probabilities[rows], [number] * len(rows)):.1%}")
    return ", ".join(shares)


def _size(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())

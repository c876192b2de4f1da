"""A few held-out recordings that the bundled models get right, for demonstrations."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor
from torch.nn import functional

from model_store.predictors.hypotheses import AsrOptions
from model_store.predictors.search import prefix_beam
from model_store.starter import asr, batches, lid, package
from model_store.starter.corpus import SEED, Clip, corpus_of
from model_store.starter.decoder import NO_TARGET, shifted
from model_store.starter.network import GlobalCmvn, LanguageClassifier, Recogniser
from model_store.starter.scoring import edit_distance
from model_store.starter.speech import SAMPLE_RATE_HZ
from model_store.starter.texts.grammar import Grammar
from model_store.starter.texts.languages import GRAMMARS
from model_store.starter.units import END, Units

# Of each model. A demonstration of a domain is short.
N_SAMPLES = {"zh": 8, "zh-finance": 4, "zh-medical": 4, "yue": 8, "en": 8}
SURE = 0.97
LOST_FRAMES = 2
TRIMMED_FRAMES = 9
GAIN = 0.7
BLUR = 0.15
TOP_UNITS = 16
CTC_WEIGHT = 0.5  # as it is served
# Two samples share less than this part of their characters, by edit distance, so that not all are of one pattern.
MIN_DIFFERENCE = 0.6

README = """# Samples

Held-out recordings: their sentences and their voices ({voices}) were in no training clip. They were
**chosen among the held-out clips that the bundled models get exactly right** (read greedily, and clearly by beam
search, also when 20 ms are missing at the start or 90 ms at the end, when it is 3 dB louder, and when its features are
blurred a little; clearly by the decoder; with the language classifier at least {sure:.0%} sure), and then for being
varied, so they say nothing about accuracy. The cards in `../bundle` do. The choice was among
{shares}.

`samples.json` lists them; the texts are what espeak-ng was given to say. All are synthetic speech, 16 kHz mono FLAC.
They are made by `python -m model_store.starter samples --work DIR`.
"""


@dataclass(frozen=True)
class Candidate:
    """A held-out clip that was recognised without error; `index` is its place in the held-out set."""

    index: int
    clip: Clip


def write(work: Path, bundle: Path, samples: Path) -> None:
    """Choose samples for every recogniser, and write them with their list and their README."""
    listed: list[dict[str, object]] = []
    shares: list[str] = []
    samples.mkdir(parents=True, exist_ok=True)
    for old in samples.rglob("*.flac"):
        old.unlink()
    for grammar in GRAMMARS.values():
        candidates, n_clips = _candidates(grammar, work, bundle)
        shares.append(f"{len(candidates)} of {n_clips} for {grammar.name}")
        for number, candidate in enumerate(choose(candidates, N_SAMPLES[grammar.name]), start=1):
            listed.append(_copy(grammar, number, candidate, work, samples))
    text = json.dumps(listed, ensure_ascii=False, indent=1) + "\n"
    (samples / "samples.json").write_text(text, encoding="utf-8")
    voices = ", ".join(sorted({str(row["voice"]) for row in listed}))
    readme = README.format(voices=voices, sure=SURE, shares=", ".join(shares))
    (samples / "README.md").write_text(readme, encoding="utf-8")


def _candidates(grammar: Grammar, work: Path, bundle: Path) -> tuple[list[Candidate], int]:
    clips = corpus_of(grammar, work).heldout
    units = _units(bundle / grammar.name)
    recogniser = _recogniser(bundle / grammar.name, units)
    takes = [
        asr.read_clips(recogniser, [change(clip) for clip in clips], units, read)
        for change in DISTURBANCES
        for read in (asr.greedily, _searched)
    ]
    label = lid.LABELS.index(grammar.language)
    sure = lid.classify(_classifier(bundle / "lid"), [clip.features for clip in clips])[:, label]
    right = [{clip.text} == set(readings) for clip, *readings in zip(clips, *takes, strict=True)]
    found = [Candidate(i, clip) for i, clip in enumerate(clips) if right[i] and sure[i] >= SURE]
    return [one for one in found if _rescored(recogniser, one.clip, units) == one.clip.text], len(clips)


def _searched(logits: Tensor) -> list[int]:
    """Read as the gateway does, by prefix beam search; nothing where the second best is half as probable."""
    log_probs, ids = torch.log_softmax(logits, -1).topk(min(TOP_UNITS, logits.shape[-1]))
    best, *others = prefix_beam(log_probs.numpy(), ids.int().numpy(), AsrOptions().beam_size)
    is_clear = all(best.score - other.score > math.log(2) for other in others)
    return list(best.tokens) if is_clear else []


def _rescored(network: Recogniser, clip: Clip, units: Units) -> str:
    """Read as the gateway does, the decoder choosing among the texts of the search; nothing where it is not sure."""
    features, lengths = batches.padded([clip.features.astype(np.float32)])
    with torch.inference_mode():
        logits, encoded, keep = network.heard(features, lengths)
        log_probs, ids = torch.log_softmax(logits[0], -1).topk(min(TOP_UNITS, logits.shape[-1]))
        paths = prefix_beam(log_probs.numpy(), ids.int().numpy(), AsrOptions().beam_size)
        said, wanted = shifted([path.tokens for path in paths], END)
        assert network.decoder is not None  # noqa: S101  (every recogniser of this recipe has one)
        next_units = network.decoder(encoded.expand(len(paths), -1, -1), keep.expand(len(paths), -1, -1), said)
        lost = functional.cross_entropy(next_units.transpose(1, 2), wanted, ignore_index=NO_TARGET, reduction="none")
    scores = [CTC_WEIGHT * path.score - float(row.sum()) for path, row in zip(paths, lost, strict=True)]
    best, *others = sorted(zip(scores, paths, strict=True), key=lambda one: one[0], reverse=True)
    is_clear = all(best[0] - score > math.log(2) for score, _ in others)
    return units.text(list(best[1].tokens)) if is_clear else ""


def _shifted(clip: Clip) -> Clip:
    return replace(clip, features=clip.features[LOST_FRAMES:])


def _trimmed(clip: Clip) -> Clip:
    return replace(clip, features=clip.features[:-TRIMMED_FRAMES])


def _louder(clip: Clip) -> Clip:
    return replace(clip, features=clip.features + np.float16(GAIN))


def _blurred(clip: Clip) -> Clip:
    noise = np.random.default_rng(SEED).normal(0.0, BLUR, clip.features.shape)
    return replace(clip, features=(clip.features + noise).astype(np.float16))


# A demonstration may cut, mix or scale a little differently, so a sample must be right in more than one form.
DISTURBANCES: tuple[Callable[[Clip], Clip], ...] = (lambda clip: clip, _shifted, _trimmed, _louder, _blurred)


def choose(candidates: list[Candidate], count: int) -> list[Candidate]:
    """Spread `count` choices over lengths and voices, and keep them unlike one another where that can be had."""
    by_length = sorted(candidates, key=lambda candidate: len(candidate.clip.text))
    chosen: list[Candidate] = []
    for step in range(count):
        start, end = step * len(by_length) // count, (step + 1) * len(by_length) // count
        span = by_length[start:end]
        if span:
            chosen.append(max(span, key=lambda candidate: _novelty(candidate, chosen)))
    return chosen


def _novelty(candidate: Candidate, chosen: list[Candidate]) -> tuple[bool, int, float]:
    text = candidate.clip.text
    differences = [edit_distance(text, other.clip.text) / max(len(text), len(other.clip.text)) for other in chosen]
    voice_used = sum(other.clip.variant == candidate.clip.variant for other in chosen)
    nearest = min(differences, default=1.0)
    return nearest >= MIN_DIFFERENCE, -voice_used, nearest


def _copy(grammar: Grammar, number: int, candidate: Candidate, work: Path, samples: Path) -> dict[str, object]:
    source = work / "heldout" / grammar.name / f"{candidate.index:03d}.wav"
    pcm, _ = soundfile.read(source, dtype="int16")
    name = f"{grammar.name}/{number:02d}.flac"
    (samples / grammar.name).mkdir(parents=True, exist_ok=True)
    soundfile.write(samples / name, pcm, SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    clip = candidate.clip
    spoken: dict[str, object] = {"language": grammar.language, "domain": grammar.domain, "text": clip.text}
    return {"file": name, **spoken, "voice": clip.variant, "speed": clip.speed}


def _recogniser(folder: Path, units: Units) -> Recogniser:
    decoder = package.read_decoder_shape(folder)
    network = Recogniser(package.read_shape(folder), _any_cmvn(), len(units.symbols), decoder)
    package.read_weights(folder, network)
    return network


def _classifier(folder: Path) -> LanguageClassifier:
    network = LanguageClassifier(package.read_shape(folder), _any_cmvn(), len(lid.LABELS))
    package.read_weights(folder, network)
    return network


def _units(folder: Path) -> Units:
    lines = (folder / "units.txt").read_text(encoding="utf-8").splitlines()
    return Units(tuple(line.split(" ")[0] for line in lines))


def _any_cmvn() -> GlobalCmvn:
    # The checkpoint brings the real statistics.
    return GlobalCmvn(torch.zeros(80), torch.ones(80))

"""The spoken corpus of one language: who says what, said once, kept as features."""

from __future__ import annotations

import json
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from model_store.predictors.features import Fbank, Float32Array
from model_store.starter import speech
from model_store.starter.texts.grammar import Grammar, split_sentences

SEED = 20261122
N_TRAINING = 2600
N_HELDOUT = 240
JOINED_SHARE = 0.2
QUIET_SHARE = 0.1
# English has five letters in a word: spoken faster it would have more letters a second than the encoder has frames.
SPEEDS = {"zh": (160, 230), "yue": (160, 230), "en": (140, 190)}


@dataclass(frozen=True)
class Line:
    """One utterance to be said: one sentence, or two with a pause."""

    sentences: tuple[str, ...]
    speaker: speech.Speaker
    scene: speech.Scene


@dataclass(frozen=True)
class Clip:
    """One utterance that was said. features: (T, 80) float16, raw log mel."""

    text: str
    variant: str
    speed: int
    n_samples: int
    features: npt.NDArray[Any]


@dataclass(frozen=True)
class Corpus:
    """Training and held-out clips; no sentence and no voice is in both."""

    training: list[Clip]
    heldout: list[Clip]

    @property
    def training_hours(self) -> float:
        """How long the training clips are together."""
        return sum(clip.n_samples for clip in self.training) / speech.SAMPLE_RATE_HZ / 3600


def script(grammar: Grammar, sentences: list[str], variants: tuple[str, ...], seed: int) -> list[Line]:
    """Cast every sentence with a speaker and a scene, repeatably; some are followed by a second one."""
    rng = random.Random(f"{grammar.language}-script-{seed}")
    lines = []
    for sentence in sentences:
        second = (rng.choice(sentences),) if rng.random() < JOINED_SHARE else ()
        low, high = SPEEDS[grammar.language]
        speaker = speech.Speaker(grammar.voice, rng.choice(variants), rng.randint(low, high), rng.randint(25, 80))
        lines.append(Line((sentence, *second), speaker, _scene(rng)))
    return lines


def _scene(rng: random.Random) -> speech.Scene:
    return speech.Scene(
        lead_s=rng.uniform(0.0, 0.4),
        pause_s=rng.uniform(0.2, 0.6),
        trail_s=rng.uniform(0.0, 0.4),
        peak=rng.uniform(0.1, 0.95),
        snr_db=None if rng.random() < QUIET_SHARE else rng.uniform(10.0, 40.0),
        seed=rng.getrandbits(32),
    )


def corpus_of(grammar: Grammar, work: Path) -> Corpus:
    """Give the corpus of one language, from `work` where it was made before."""
    cached = work / "corpus" / f"{grammar.language}.npz"
    if not cached.exists():
        cached.parent.mkdir(parents=True, exist_ok=True)
        _make(grammar, work, cached)
    return _read(cached)


def _make(grammar: Grammar, work: Path, cached: Path) -> None:
    training, heldout = split_sentences(grammar, N_TRAINING, N_HELDOUT, SEED)
    lines = script(grammar, training, speech.TRAINING_VARIANTS, SEED)
    heldout_lines = script(grammar, heldout, speech.HELDOUT_VARIANTS, SEED + 1)
    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(_perform, lines))
        heldout_said = list(pool.map(_perform, heldout_lines))
    _keep_recordings(grammar, heldout_lines, heldout_said, work / "heldout" / grammar.language)
    fbank = Fbank()
    features = [fbank(pcm.astype(np.float32) / 32768.0).astype(np.float16) for pcm in said + heldout_said]
    rows = [_row(grammar, line, pcm) for line, pcm in zip(lines + heldout_lines, said + heldout_said, strict=True)]
    partial = cached.with_suffix(".partial.npz")
    np.savez(
        partial,
        frames=np.concatenate(features),
        n_frames=[len(f) for f in features],
        rows=json.dumps(rows, ensure_ascii=False),
        n_training=len(lines),
    )
    partial.rename(cached)


def _perform(line: Line) -> speech.Int16Array:
    return speech.stage([speech.speak(sentence, line.speaker) for sentence in line.sentences], line.scene)


def _row(grammar: Grammar, line: Line, pcm: speech.Int16Array) -> dict[str, object]:
    text = grammar.joiner.join(line.sentences)
    return {"text": text, "variant": line.speaker.variant, "speed": line.speaker.speed, "n_samples": int(pcm.size)}


def _keep_recordings(grammar: Grammar, lines: list[Line], said: list[speech.Int16Array], folder: Path) -> None:
    """Write the held-out recordings, for measuring through any other path, and for choosing the samples from."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest = []
    for index, (line, pcm) in enumerate(zip(lines, said, strict=True)):
        name = f"{index:03d}.wav"
        soundfile.write(folder / name, pcm, speech.SAMPLE_RATE_HZ, subtype="PCM_16")
        row = {"file": name, "language": grammar.language, **_row(grammar, line, pcm)}
        manifest.append(row | {"speaker": asdict(line.speaker), "scene": asdict(line.scene)})
    (folder / "manifest.json").write_text(json.dumps(manifest, ensure_ascii=False, indent=1), encoding="utf-8")


def _read(cached: Path) -> Corpus:
    with np.load(cached) as stored:
        frames, rows = stored["frames"], json.loads(str(stored["rows"]))
        ends, n_training = np.cumsum(stored["n_frames"]), int(stored["n_training"])
    pieces: list[Float32Array] = np.split(frames, ends[:-1])
    clips = [Clip(features=piece, **row) for row, piece in zip(rows, pieces, strict=True)]
    return Corpus(clips[:n_training], clips[n_training:])

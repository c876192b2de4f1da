"""The spoken corpus of one grammar: who says what, said once, kept as features."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from model_store.predictors.features import Fbank, Float32Array
from model_store.starter import conditions, opus, speech
from model_store.starter.texts.grammar import Grammar, heldout_sentences, training_texts
from model_store.starter.texts.languages import LENT, N_TRAINING

SEED = 20261122
N_HELDOUT = 160
JOINED_SHARE = 0.15
# English has five letters in a word: spoken faster it would have more letters a second than the encoder has frames.
SPEEDS = {"zh": (150, 230), "yue": (150, 230), "en": (135, 185)}
PITCHES = (20, 85)
QUIET_SHARE, CROWD_SHARE = 0.25, 0.25
SNR_DB = (8.0, 35.0)
TELEPHONE_SHARE, CODED_SHARE = 0.2, 0.25
CODED_BIT_RATES = (12000, 14000, 16000, 24000)
CODED_EFFORT = 3
N_CROWD = 24


@dataclass(frozen=True)
class Line:
    """One utterance to be said, one text or two with a pause, and what happens to it on its way.

    `snr_db` None: no noise. `is_crowded`: the noise is other people. `bit_rate` None: not coded.
    """

    texts: tuple[str, ...]
    speaker: speech.Speaker
    scene: speech.Scene
    snr_db: float | None
    is_crowded: bool
    is_telephone: bool
    bit_rate: int | None
    seed: int


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


def script(grammar: Grammar, texts: Sequence[str], variants: Sequence[str], seed: int) -> list[Line]:
    """Cast every text with a speaker and a recording, repeatably; some are followed by a second one."""
    rng = random.Random(f"{grammar.name}-script-{seed}")
    lines = []
    for text in texts:
        second = (rng.choice(texts),) if rng.random() < JOINED_SHARE else ()
        lines.append(_line((text, *second), _speaker(grammar.language, variants, rng), rng))
    return lines


def _speaker(language: str, variants: Sequence[str], rng: random.Random) -> speech.Speaker:
    return speech.Speaker(language, rng.choice(variants), rng.randint(*SPEEDS[language]), rng.randint(*PITCHES))


def _line(texts: tuple[str, ...], speaker: speech.Speaker, rng: random.Random) -> Line:
    return Line(
        texts=texts,
        speaker=speaker,
        scene=speech.Scene(rng.uniform(0.0, 0.4), rng.uniform(0.2, 0.6), rng.uniform(0.0, 0.4), rng.uniform(0.1, 0.95)),
        snr_db=None if rng.random() < QUIET_SHARE else rng.uniform(*SNR_DB),
        is_crowded=rng.random() < CROWD_SHARE,
        is_telephone=rng.random() < TELEPHONE_SHARE,
        bit_rate=rng.choice(CODED_BIT_RATES) if rng.random() < CODED_SHARE else None,
        seed=rng.getrandbits(32),
    )


def perform(line: Line, crowd: Sequence[Float32Array]) -> speech.Int16Array:
    """Say a line and let happen to it what the line says; `crowd` are the voices for the babble."""
    x = speech.stage([speech.speak(text, line.speaker) for text in line.texts], line.scene)
    rng = np.random.default_rng(line.seed)
    if line.snr_db is not None and line.is_crowded:
        x = conditions.babbled(x, crowd, line.snr_db, rng)
    elif line.snr_db is not None:
        x = conditions.noisy(x, line.snr_db, rng)
    if line.is_telephone:
        x = conditions.telephone(x)
    if line.bit_rate is not None:
        x = opus.decode(opus.encode(x, line.bit_rate, CODED_EFFORT), x.size)
    return speech.to_int16(x)


def crowd_of(grammar: Grammar, variants: Sequence[str], seed: int) -> list[Float32Array]:
    """Let a few voices speak, for babble to be made of."""
    rng = random.Random(f"{grammar.name}-crowd-{seed}")
    return [speech.speak(grammar.sentence(rng), _speaker(grammar.language, variants, rng)) for _ in range(N_CROWD)]


def corpus_of(grammar: Grammar, work: Path) -> Corpus:
    """Give the corpus of one grammar, from `work` where it was made before."""
    cached = work / "corpus" / f"{grammar.name}.npz"
    if not cached.exists():
        cached.parent.mkdir(parents=True, exist_ok=True)
        _make(grammar, work, cached)
    return _read(cached)


def _make(grammar: Grammar, work: Path, cached: Path) -> None:
    texts = training_texts(grammar, N_TRAINING[grammar.name], SEED, LENT.get(grammar.name, ()))
    lines = script(grammar, texts, speech.TRAINING_VARIANTS, SEED)
    heldout = heldout_sentences(grammar, N_HELDOUT, SEED)
    heldout_lines = script(grammar, heldout, speech.HELDOUT_VARIANTS, SEED + 1)
    said = _said(lines, crowd_of(grammar, speech.TRAINING_VARIANTS, SEED))
    heldout_said = _said(heldout_lines, crowd_of(grammar, speech.HELDOUT_VARIANTS, SEED))
    _keep_recordings(grammar, heldout_lines, heldout_said, work / "heldout" / grammar.name)
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


def _said(lines: Sequence[Line], crowd: Sequence[Float32Array]) -> list[speech.Int16Array]:
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda line: perform(line, crowd), lines))


def _row(grammar: Grammar, line: Line, pcm: speech.Int16Array) -> dict[str, object]:
    text = grammar.joiner.join(line.texts)
    return {"text": text, "variant": line.speaker.variant, "speed": line.speaker.speed, "n_samples": int(pcm.size)}


def _keep_recordings(grammar: Grammar, lines: list[Line], said: list[speech.Int16Array], folder: Path) -> None:
    """Write the held-out recordings, for measuring through any other path, and for choosing the samples from."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest = []
    for index, (line, pcm) in enumerate(zip(lines, said, strict=True)):
        name = f"{index:03d}.wav"
        soundfile.write(folder / name, pcm, speech.SAMPLE_RATE_HZ, subtype="PCM_16")
        row = {"file": name, "language": grammar.language, **_row(grammar, line, pcm)}
        manifest.append(row | {"line": asdict(line)})
    (folder / "manifest.json").write_text(json.dumps(manifest, ensure_ascii=False, indent=1), encoding="utf-8")


def _read(cached: Path) -> Corpus:
    with np.load(cached) as stored:
        frames, rows = stored["frames"], json.loads(str(stored["rows"]))
        ends, n_training = np.cumsum(stored["n_frames"]), int(stored["n_training"])
    pieces: list[Float32Array] = np.split(frames, ends[:-1])
    clips = [Clip(features=piece, **row) for row, piece in zip(rows, pieces, strict=True)]
    return Corpus(clips[:n_training], clips[n_training:])

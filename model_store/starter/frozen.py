"""The frozen test sets: sentences of patterns, and voices, that no training has; made once, and read ever after.

A set is an uncompressed zip of Ogg Opus files, one for each clip, so that every clip decodes by itself; `manifest.json`
beside the sets says what each clip is, with the digest of its file.
"""

from __future__ import annotations

import hashlib
import json
import random
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from model_store.errors import ArtifactCorrupt
from model_store.starter import opus, speech
from model_store.starter.speech import Float32Array
from model_store.starter.texts.grammar import Grammar
from model_store.starter.texts.languages import GRAMMARS, SWITCHED

SEED = 20261123
N_CLIPS, N_SWITCHED = 500, 200
SETS = GRAMMARS | SWITCHED
SPEEDS = {"zh": (150, 225), "yue": (150, 225), "en": (135, 180), "zh-en": (150, 205), "yue-en": (150, 205)}
PITCHES = (25, 80)
MANIFEST = "manifest.json"
# Zip files keep times; all of these are the first that it can say.
EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Clip:
    """One clip of a set. `sha256` is of its Opus file `name` in the zip; `n_samples` at 16 kHz."""

    name: str
    text: str
    language: str
    domain: str
    voice: str
    speed: int
    pitch: int
    seconds: float
    n_samples: int
    sha256: str


def build(folder: Path, names: Sequence[str] = tuple(SETS)) -> None:
    """Speak and write the sets `names`, and the manifest of all sets in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    written = read_manifest(folder) if (folder / MANIFEST).exists() else {}
    for name in names:
        written[name] = _build(SETS[name], folder / f"{name}.zip")
    # One clip to a line, so that a change of one clip shows as one.
    sets = [f'"{name}": [\n{_rows(written[name])}\n]' for name in SETS if name in written]
    (folder / MANIFEST).write_text("{\n" + ",\n".join(sets) + "\n}\n", encoding="utf-8")


def _build(grammar: Grammar, path: Path) -> list[Clip]:
    count = N_SWITCHED if grammar.name in SWITCHED else N_CLIPS
    rng = random.Random(f"{grammar.name}-frozen-{SEED}")
    texts = grammar.test_sentences(count, SEED)
    rng.shuffle(texts)
    speakers = [_speaker(grammar, index, rng) for index in range(count)]
    scenes = [speech.Scene(rng.uniform(0.1, 0.2), 0.0, rng.uniform(0.1, 0.2), rng.uniform(0.3, 0.9)) for _ in texts]
    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(_say, texts, speakers, scenes))
    clips = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
        for index, (text, speaker, (raw, n_samples)) in enumerate(zip(texts, speakers, said, strict=True)):
            name = f"{index:03d}.opus"
            file.writestr(zipfile.ZipInfo(name, EPOCH), raw)
            clips.append(_clip(name, text, grammar, speaker, raw, n_samples))
    return clips


def _speaker(grammar: Grammar, index: int, rng: random.Random) -> speech.Speaker:
    # In turn, so that every voice says as much as the next.
    variant = speech.FROZEN_VARIANTS[index % len(speech.FROZEN_VARIANTS)]
    return speech.Speaker(grammar.language, variant, rng.randint(*SPEEDS[grammar.language]), rng.randint(*PITCHES))


def _say(text: str, speaker: speech.Speaker, scene: speech.Scene) -> tuple[bytes, int]:
    x = speech.stage([speech.speak(text, speaker)], scene)
    return opus.encode(x), x.size


def _clip(name: str, text: str, grammar: Grammar, speaker: speech.Speaker, raw: bytes, n_samples: int) -> Clip:
    return Clip(
        name=name,
        text=text,
        language=grammar.language,
        domain=grammar.domain,
        voice=speaker.variant,
        speed=speaker.speed,
        pitch=speaker.pitch,
        seconds=round(n_samples / speech.SAMPLE_RATE_HZ, 3),
        n_samples=n_samples,
        sha256=hashlib.sha256(raw).hexdigest(),
    )


def _rows(clips: Sequence[Clip]) -> str:
    return ",\n".join(json.dumps(asdict(clip), ensure_ascii=False) for clip in clips)


def read_manifest(folder: Path) -> dict[str, list[Clip]]:
    """Read what the clips of every set are; raises ArtifactCorrupt where that cannot be read."""
    try:
        written = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return {name: [Clip(**row) for row in rows] for name, rows in written.items()}
    except (OSError, ValueError, TypeError) as exc:
        raise ArtifactCorrupt(f"{folder / MANIFEST} cannot be read: {exc}. Check it out again.") from exc


def read_files(folder: Path, name: str) -> Iterator[tuple[Clip, bytes]]:
    """Give each clip of a set with its Ogg Opus file; raises ArtifactCorrupt at a wrong digest."""
    clips = read_manifest(folder)[name]
    with zipfile.ZipFile(folder / f"{name}.zip") as file:
        for clip in clips:
            raw = file.read(clip.name)
            if hashlib.sha256(raw).hexdigest() != clip.sha256:
                raise ArtifactCorrupt(f"{name}.zip: {clip.name} is not what was frozen. Check the file out again.")
            yield clip, raw


def read_set(folder: Path, name: str) -> Iterator[tuple[Clip, Float32Array]]:
    """Give each clip of a set with its samples, (N,) float32 at 16 kHz; raises ArtifactCorrupt at a wrong digest."""
    for clip, raw in read_files(folder, name):
        yield clip, opus.decode(raw, clip.n_samples)

"""The frozen test sets: making them in miniature, and those of the repository."""

from __future__ import annotations

import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("soxr")

from model_store.errors import ArtifactCorrupt
from model_store.starter import frozen, speech
from model_store.starter.texts.languages import GRAMMARS, SWITCHED

FROZEN_DIR = Path(__file__).parents[2] / "data" / "frozen"
MAX_BYTES = 20_000_000
NAMES = pytest.mark.parametrize("name", frozen.SETS)


def beep(text: str, speaker: speech.Speaker) -> np.ndarray:
    return np.sin(np.arange(4000 + 800 * len(text)) * speaker.pitch / 300).astype(np.float32)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(speech, "speak", beep)
    monkeypatch.setattr(frozen, "N_CLIPS", 14)
    frozen.build(tmp_path, ["yue"])
    return tmp_path


def test_set_read_back_is_what_was_said(small: Path) -> None:
    read = list(frozen.read_set(small, "yue"))
    assert len(read) == 14
    assert {clip.voice for clip, _ in read} == set(speech.FROZEN_VARIANTS)
    for clip, samples in read:
        assert samples.shape == (clip.n_samples,)
        assert clip.seconds == pytest.approx(clip.n_samples / 16000, abs=0.001)
        assert 0.2 < np.abs(samples).max() < 1.1


def test_set_built_again_is_the_same_to_the_byte(small: Path, tmp_path: Path) -> None:
    frozen.build(tmp_path / "again", ["yue"])
    for name in ("yue.zip", frozen.MANIFEST):
        assert (tmp_path / "again" / name).read_bytes() == (small / name).read_bytes()


def test_build_of_one_set_leaves_the_others(small: Path) -> None:
    before = frozen.read_manifest(small)["yue"]
    frozen.build(small, ["en"])
    assert frozen.read_manifest(small)["yue"] == before
    assert list(frozen.read_manifest(small)) == ["yue", "en"]


def test_clip_that_was_changed_is_refused_by_name(small: Path) -> None:
    with zipfile.ZipFile(small / "yue.zip") as file:
        contents = {name: file.read(name) for name in file.namelist()}
    contents["003.opus"] = contents["004.opus"]
    with zipfile.ZipFile(small / "yue.zip", "w") as file:
        for name, raw in contents.items():
            file.writestr(name, raw)
    with pytest.raises(ArtifactCorrupt, match=r"003\.opus"):
        list(frozen.read_set(small, "yue"))


def test_manifest_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / frozen.MANIFEST).write_text('{"zh": [{"name": "0"}]}', encoding="utf-8")
    with pytest.raises(ArtifactCorrupt, match=frozen.MANIFEST):
        frozen.read_manifest(tmp_path)


def test_sets_of_the_repository_are_small_enough() -> None:
    assert sum(path.stat().st_size for path in FROZEN_DIR.iterdir()) <= MAX_BYTES


@NAMES
def test_set_of_the_repository_has_enough_clips_and_voices_that_nothing_else_has(name: str) -> None:
    clips = frozen.read_manifest(FROZEN_DIR)[name]
    assert len(clips) >= (200 if name in SWITCHED else 500)
    assert len({clip.text for clip in clips}) == len(clips)
    voices = Counter(clip.voice for clip in clips)
    assert len(voices) >= 8
    assert min(voices.values()) >= len(clips) // 16
    assert not set(voices) & {*speech.TRAINING_VARIANTS, *speech.HELDOUT_VARIANTS}
    assert {(clip.language, clip.domain) for clip in clips} == {(frozen.SETS[name].language, frozen.SETS[name].domain)}


@NAMES
def test_set_of_the_repository_decodes_to_what_its_manifest_says(name: str) -> None:
    for clip, samples in list(frozen.read_set(FROZEN_DIR, name))[::25]:
        assert samples.shape == (clip.n_samples,)
        loud = np.flatnonzero(np.abs(samples) > 0.02)
        # Speech from the first fifth of a second on to the last quarter of one: nothing was cut at either end.
        assert 0.02 < loud[0] / 16000 < 0.45
        assert 0.02 < (clip.n_samples - loud[-1]) / 16000 < 0.8


@pytest.mark.parametrize("name", GRAMMARS)
def test_set_of_the_repository_is_what_the_patterns_say(name: str) -> None:
    grammar = frozen.SETS[name]
    units = set("".join(grammar.units())) | {" "}
    assert not [clip for clip in frozen.read_manifest(FROZEN_DIR)[name] if set(clip.text) - units]

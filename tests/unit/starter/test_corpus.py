"""Casting the script, and keeping what was said; espeak-ng is stood in for by beeps."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("soxr")

from model_store.predictors.features import Fbank  # noqa: E402
from model_store.starter import corpus, speech  # noqa: E402
from model_store.starter.corpus import Line  # noqa: E402
from model_store.starter.texts.languages import GRAMMARS  # noqa: E402

ZH = GRAMMARS["zh"]
QUIET = (None, False, False, None)


def beep(text: str, speaker: speech.Speaker) -> np.ndarray:
    return np.sin(np.arange(4000 + 800 * len(text)) * speaker.pitch / 300).astype(np.float32)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech, "speak", beep)
    monkeypatch.setattr(corpus, "N_TRAINING", {"zh": 12})
    monkeypatch.setattr(corpus, "N_HELDOUT", 5)


def test_script_with_the_same_seed_is_the_same() -> None:
    sentences = [f"句{i}" for i in range(50)]
    script = corpus.script(ZH, sentences, ("f1", "m1"), seed=1)
    assert script == corpus.script(ZH, sentences, ("f1", "m1"), seed=1)
    assert script != corpus.script(ZH, sentences, ("f1", "m1"), seed=2)


def test_script_joins_some_lines_and_keeps_to_its_voices_and_speeds() -> None:
    lines = corpus.script(ZH, [f"句{i}" for i in range(500)], ("f1", "m1"), seed=1)
    joined = sum(len(line.texts) == 2 for line in lines)
    assert joined == pytest.approx(500 * corpus.JOINED_SHARE, rel=0.35)
    assert {line.speaker.variant for line in lines} == {"f1", "m1"}
    low, high = corpus.SPEEDS["zh"]
    assert all(low <= line.speaker.speed <= high for line in lines)


def test_script_hears_lines_through_all_that_can_happen_to_them() -> None:
    lines = corpus.script(ZH, [f"句{i}" for i in range(400)], ("f1", "m1"), seed=1)
    for is_so in (
        lambda line: line.snr_db is None,
        lambda line: line.is_crowded and line.snr_db is not None,
        lambda line: line.is_telephone,
        lambda line: line.bit_rate is not None,
        lambda line: line.is_telephone and line.bit_rate is not None,
    ):
        assert 10 < sum(map(is_so, lines)) < 200


def test_perform_of_a_line_is_repeatable_and_what_the_line_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech, "speak", beep)
    crowd = [beep("群", speech.Speaker("zh", "m1", 200, pitch)) for pitch in (30, 40, 50)]
    plain = Line(("你好",), speech.Speaker("zh", "f1", 200, 50), speech.Scene(0.1, 0.2, 0.1, 0.5), *QUIET, seed=3)
    said = corpus.perform(plain, crowd)
    assert said.dtype == np.int16
    for change in ({"snr_db": 10.0}, {"snr_db": 10.0, "is_crowded": True}, {"is_telephone": True}, {"bit_rate": 16000}):
        changed = corpus.perform(replace(plain, **change), crowd)
        np.testing.assert_array_equal(changed, corpus.perform(replace(plain, **change), crowd))
        assert changed.shape == said.shape
        assert (changed != said).any()


def test_corpus_read_again_is_the_corpus_that_was_made(small: None, tmp_path: Path) -> None:
    made, again = corpus.corpus_of(ZH, tmp_path), corpus.corpus_of(ZH, tmp_path)
    assert (len(made.training), len(made.heldout)) == (12, 5)
    for one, other in zip(made.training + made.heldout, again.training + again.heldout, strict=True):
        assert (one.text, one.variant, one.speed, one.n_samples) == (
            other.text,
            other.variant,
            other.speed,
            other.n_samples,
        )
        np.testing.assert_array_equal(one.features, other.features)


def test_corpus_keeps_heldout_recordings_with_their_texts_and_features(small: None, tmp_path: Path) -> None:
    heldout = corpus.corpus_of(ZH, tmp_path).heldout
    folder = tmp_path / "heldout" / "zh"
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert [row["text"] for row in manifest] == [clip.text for clip in heldout]
    for row, clip in zip(manifest, heldout, strict=True):
        pcm, rate_hz = soundfile.read(folder / row["file"], dtype="float32")
        assert rate_hz == 16000
        np.testing.assert_allclose(Fbank()(pcm), clip.features, atol=0.02)


def test_corpus_hears_heldout_voices_only_where_they_belong(small: None, tmp_path: Path) -> None:
    made = corpus.corpus_of(ZH, tmp_path)
    assert {clip.variant for clip in made.heldout} <= set(speech.HELDOUT_VARIANTS)
    assert {clip.variant for clip in made.training} <= set(speech.TRAINING_VARIANTS)
    assert made.training_hours > 0

"""Choosing samples."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("soundfile")

from model_store.starter import samples
from model_store.starter.corpus import Clip

FOLDER = Path(samples.__file__).parent / "samples"


def candidate(index: int, text: str, voice: str) -> samples.Candidate:
    return samples.Candidate(index, Clip(text, voice, 180, 16000, np.zeros((98, 80), np.float16)))


def test_choose_spreads_over_lengths_and_voices() -> None:
    candidates = [candidate(i, chr(0x4E00 + i) * (1 + i % 10), f"v{i % 4}") for i in range(80)]
    chosen = samples.choose(candidates, 8)
    lengths = [len(one.clip.text) for one in chosen]
    assert len(chosen) == 8
    assert lengths == sorted(lengths)
    assert lengths[0] <= 2
    assert lengths[-1] >= 9
    assert len({one.clip.variant for one in chosen}) == 4


def test_choose_prefers_texts_unlike_those_it_has() -> None:
    pool = [
        candidate(0, "今天好", "v"),
        candidate(1, "今天坏", "v"),
        candidate(2, "打开灯", "v"),
        candidate(3, "今天吗", "v"),
    ]
    assert {one.clip.text for one in samples.choose(pool, 2)} in ({"今天好", "打开灯"}, {"今天坏", "打开灯"})


def test_choose_from_fewer_than_wanted_takes_each_once() -> None:
    pool = [candidate(i, "一" * (i + 1), "v") for i in range(3)]
    assert [one.index for one in samples.choose(pool, 10)] == [0, 1, 2]


@pytest.mark.skipif(not FOLDER.exists(), reason="the samples were not made yet")
def test_samples_in_the_repository_are_those_of_the_list() -> None:
    rows = json.loads((FOLDER / "samples.json").read_text(encoding="utf-8"))
    assert {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.flac")} == {row["file"] for row in rows}
    for language in ("zh", "yue", "en"):
        texts = [row["text"] for row in rows if row["language"] == language]
        assert len(texts) >= 8
        assert len(set(texts)) == len(texts)

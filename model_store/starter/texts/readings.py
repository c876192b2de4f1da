"""How Chinese is written for espeak-ng, whose voices read most characters rightly, and some words wrongly."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent


@cache
def readings(language: str) -> dict[str, str]:
    """Give words and their pinyin or jyutping, one syllable with its tone's number for each character."""
    lines = (HERE / f"readings_{language}.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split(" ", 1) for line in lines if line and not line.startswith("#"))


@cache
def _misread(language: str) -> re.Pattern[str]:
    return re.compile("|".join(sorted(readings(language), key=len, reverse=True)))


def respelt(text: str, language: str) -> str:
    """Put pinyin or jyutping, which espeak-ng reads as well, in the place of every word that it would misread."""
    if language == "en":
        return text
    spelt = _misread(language).sub(lambda word: f" {readings(language)[word[0]]} ", text)
    return " ".join(spelt.split())

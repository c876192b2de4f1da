"""How the rarer words are spelt for espeak-ng."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from model_store.starter.texts.readings import readings, respelt

LANGUAGES = ("zh", "yue")


@pytest.mark.parametrize("language", LANGUAGES)
def test_readings_have_one_numbered_syllable_for_each_character(language: str) -> None:
    for word, spelt in readings(language).items():
        syllables = spelt.split()
        assert len(syllables) == len(word), word
        assert all(re.fullmatch("[a-z]+[1-6]", syllable) for syllable in syllables), word


def test_respelt_takes_the_longest_word_that_fits() -> None:
    assert respelt("我为什么来", "zh") == "我 wei4 shen2 me5 来"
    assert respelt("更新鲜", "zh") == "geng4 xin1 xian1"
    assert respelt("更新鲜花", "zh") == "geng4 xin1 xian1 花"
    assert respelt("茶餐廳", "yue") == "茶餐廳"


def test_respelt_leaves_english_alone() -> None:
    assert respelt("the bank", "en") == "the bank"


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is needed to train, never to serve")
@pytest.mark.parametrize(("language", "voice"), [("zh", "cmn-latn-pinyin"), ("yue", "yue-latn-jyutping")])
def test_readings_are_syllables_that_espeak_speaks_in_that_language(language: str, voice: str) -> None:
    syllables = sorted({syllable for spelt in readings(language).values() for syllable in spelt.split()})
    asked = "\n\n".join(syllables)
    told = subprocess.run(["espeak-ng", "-q", "-x", "-v", voice, asked], capture_output=True, text=True, check=True)
    # What it does not know it reads letter by letter, or in English, and says so in brackets.
    assert "(" not in told.stdout
    assert len(told.stdout.split()) == len(syllables)

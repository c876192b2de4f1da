"""The sentence patterns of the starter models."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from model_store.starter.texts.grammar import DIGITS_SLOT, SLOT, Grammar, is_heldout, split_sentences
from model_store.starter.texts.languages import GRAMMARS
from model_store.starter.units import Units

LANGUAGES = pytest.mark.parametrize("grammar", GRAMMARS.values(), ids=GRAMMARS.keys())


@LANGUAGES
def test_split_of_any_language_shares_no_sentence(grammar: Grammar) -> None:
    training, heldout = split_sentences(grammar, 400, 120, seed=1)
    assert (len(training), len(heldout)) == (400, 120)
    assert len(set(heldout)) == 120
    assert not any(map(is_heldout, training))
    assert all(map(is_heldout, heldout))


@LANGUAGES
def test_split_with_the_same_seed_is_the_same(grammar: Grammar) -> None:
    assert split_sentences(grammar, 60, 20, seed=1) == split_sentences(grammar, 60, 20, seed=1)
    assert split_sentences(grammar, 60, 20, seed=1) != split_sentences(grammar, 60, 20, seed=2)


@LANGUAGES
def test_units_cover_every_character_of_every_sentence(grammar: Grammar) -> None:
    units = Units.over(grammar.units())
    rng = random.Random(5)
    for _ in range(500):
        sentence = grammar.sentence(rng)
        assert units.text(units.numbers(sentence)) == sentence


@LANGUAGES
def test_patterns_name_only_slots_that_exist_and_use_all_of_them(grammar: Grammar) -> None:
    texts = [*grammar.patterns, *(word for words in grammar.words.values() for word in words)]
    named = {slot for text in texts for slot in SLOT.findall(text) if not DIGITS_SLOT.fullmatch(slot)}
    assert named == set(grammar.words)


@LANGUAGES
def test_training_texts_hold_every_word_often(grammar: Grammar) -> None:
    training, _ = split_sentences(grammar, 1500, 50, seed=1)
    spoken = Counter(word for text in training for word in grammar.spoken(text))
    rng = random.Random(9)
    words = {word for _ in range(3000) for word in grammar.spoken(grammar.sentence(rng))}
    assert min(spoken[word] for word in words) >= 8


@LANGUAGES
def test_language_has_enough_patterns_and_characters(grammar: Grammar) -> None:
    assert len(grammar.patterns) >= 15
    assert len(grammar.units()) >= (26 if grammar.joiner else 200)


def test_sentence_of_english_is_lower_case_words_and_single_spaces() -> None:
    rng = random.Random(2)
    for _ in range(300):
        sentence = GRAMMARS["en"].sentence(rng)
        assert sentence == " ".join(sentence.lower().split())
        assert sentence.replace(" ", "").isalpha()


@pytest.mark.parametrize("language", ["zh", "yue"])
def test_sentence_of_chinese_is_chinese_characters_only(language: str) -> None:
    rng = random.Random(2)
    for _ in range(300):
        assert all("\u4e00" <= character <= "\u9fff" for character in GRAMMARS[language].sentence(rng))


def test_digits_slot_gives_that_many_digits() -> None:
    grammar = Grammar("xx", "xx", "", tuple("一二"), {}, ("码{digits5}",))
    sentence = grammar.sentence(random.Random(1))
    assert len(sentence) == 6
    assert set(sentence[1:]) <= set("一二")

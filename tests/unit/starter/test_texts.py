"""The sentence patterns of the starter models."""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest

from model_store.starter.texts.grammar import (
    DIGITS_SLOT,
    SLOT,
    Grammar,
    heldout_sentences,
    is_heldout,
    training_texts,
)
from model_store.starter.texts.languages import GRAMMARS, LENT, N_TRAINING, SWITCHED, ZH
from model_store.starter.units import Units

LANGUAGES = pytest.mark.parametrize("grammar", GRAMMARS.values(), ids=GRAMMARS.keys())
EVERY = pytest.mark.parametrize("grammar", [*GRAMMARS.values(), *SWITCHED.values()], ids=[*GRAMMARS, *SWITCHED])
TINY = Grammar("xx", "xx", "general", "", tuple("一二"), {"what": ("山", "水")}, ("看{what}",), ("码{digits5}",))


def ideographs(grammar: Grammar) -> set[str]:
    return {unit for unit in grammar.units() if "\u4e00" <= unit <= "\u9fff"}


@LANGUAGES
def test_training_and_heldout_share_no_sentence(grammar: Grammar) -> None:
    training, heldout = training_texts(grammar, 400, seed=1), heldout_sentences(grammar, 60, seed=1)
    assert (len(training), len(set(heldout))) == (400, 60)
    assert not any(map(is_heldout, training))
    assert all(map(is_heldout, heldout))


@LANGUAGES
def test_texts_with_the_same_seed_are_the_same(grammar: Grammar) -> None:
    assert training_texts(grammar, 60, seed=1) == training_texts(grammar, 60, seed=1)
    assert training_texts(grammar, 60, seed=1) != training_texts(grammar, 60, seed=2)


@EVERY
def test_test_sentences_are_of_no_pattern_of_training(grammar: Grammar) -> None:
    assert not set(grammar.patterns) & set(grammar.test_patterns)
    sentences = grammar.test_sentences(200, seed=1)
    assert len(set(sentences)) == 200
    assert grammar.test_sentences(200, seed=1) == sentences


@LANGUAGES
def test_test_patterns_differ_from_those_of_training_in_more_than_their_slots(grammar: Grammar) -> None:
    frames = {SLOT.sub("{}", pattern) for pattern in grammar.patterns}
    assert not [pattern for pattern in grammar.test_patterns if SLOT.sub("{}", pattern) in frames]


@LANGUAGES
def test_training_says_no_test_sentence(grammar: Grammar) -> None:
    assert not set(training_texts(grammar, 5000, seed=1)) & set(grammar.test_sentences(500, seed=1))


def texts_of(grammar: Grammar) -> list[str]:
    """What a recogniser of the grammar hears in training; that of a domain began with general Mandarin."""
    if grammar.domain == "general":
        return training_texts(grammar, N_TRAINING[grammar.name], 1, LENT.get(grammar.name, ()))
    return training_texts(grammar, N_TRAINING[grammar.name], 1) + training_texts(ZH, 1500, 1, LENT["zh"])


@LANGUAGES
def test_training_says_every_word_of_the_tests_often(grammar: Grammar) -> None:
    said = Counter(word for text in texts_of(grammar) for word in grammar.spoken(text))
    tested = {word for text in grammar.test_sentences(500, seed=1) for word in grammar.spoken(text)}
    assert not [word for word in tested if said[word] < 8]


def test_general_mandarin_is_lent_every_character_of_its_domains() -> None:
    said = set("".join(texts_of(ZH)))
    needed = {character for grammar in LENT["zh"] for text in grammar.test_sentences(500, 1) for character in text}
    assert not needed - said


@LANGUAGES
def test_units_cover_every_character_of_every_sentence(grammar: Grammar) -> None:
    units = Units.over(grammar.units())
    rng = random.Random(5)
    for sentence in [grammar.sentence(rng) for _ in range(300)] + grammar.test_sentences(150, seed=1):
        assert units.text(units.numbers(sentence)) == sentence


@EVERY
def test_patterns_name_only_slots_that_exist_and_use_all_of_them(grammar: Grammar) -> None:
    texts = [*grammar.patterns, *grammar.test_patterns, *(word for words in grammar.words.values() for word in words)]
    named = {slot for text in texts for slot in SLOT.findall(text) if not DIGITS_SLOT.fullmatch(slot)}
    assert named == set(grammar.words)


@EVERY
def test_slot_of_a_grammar_holds_each_word_once(grammar: Grammar) -> None:
    for slot, words in grammar.words.items():
        # What has slots of its own may stand there twice, to be drawn more often.
        plain = [word for word in words if not SLOT.search(word)]
        assert len(set(plain)) == len(plain), slot


def test_languages_have_the_characters_and_words_that_were_asked_for() -> None:
    assert len(ideographs(ZH)) >= 800
    assert len(ideographs(GRAMMARS["yue"])) >= 500
    english = GRAMMARS["en"]
    said = {word for text in training_texts(english, 6000, seed=1) for word in text.split()}
    assert len(said) >= 600


def test_sentence_of_english_is_lower_case_words_and_single_spaces() -> None:
    english, rng = GRAMMARS["en"], random.Random(2)
    for sentence in [english.sentence(rng) for _ in range(300)] + english.test_sentences(100, seed=1):
        assert sentence == " ".join(sentence.lower().split())
        assert sentence.replace(" ", "").isalpha()


@pytest.mark.parametrize("name", ["zh", "zh-finance", "zh-medical", "yue"])
def test_sentence_of_chinese_is_chinese_characters_only(name: str) -> None:
    grammar, rng = GRAMMARS[name], random.Random(2)
    for sentence in [grammar.sentence(rng) for _ in range(300)] + grammar.test_sentences(100, seed=1):
        assert all("\u3400" <= character <= "\u9fff" for character in sentence), sentence


@pytest.mark.parametrize("name", SWITCHED)
def test_sentence_that_switches_has_both_scripts(name: str) -> None:
    for sentence in SWITCHED[name].test_sentences(200, seed=1):
        assert re.search("[a-z]", sentence)
        assert re.search("[\u4e00-\u9fff]", sentence)
        assert sentence == sentence.strip()


def test_digits_slot_gives_that_many_digits() -> None:
    (sentence,) = TINY.test_sentences(1, seed=1)
    assert len(sentence) == 6
    assert set(sentence[1:]) <= set("一二")


def test_some_words_are_of_the_grammar_and_one_to_five() -> None:
    rng = random.Random(1)
    lengths = {len(TINY.some_words(rng)) for _ in range(200)}
    assert lengths == {1, 2, 3, 4, 5}

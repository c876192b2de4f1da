"""Units in WeNet's order."""

from __future__ import annotations

import pytest

from model_store.starter.units import END, SPACE, Units, pieces


def test_table_starts_with_the_special_units() -> None:
    table = Units.over([SPACE, "a", "b"]).as_table()
    assert table.splitlines() == ["<blank> 0", "<unk> 1", "<sos/eos> 2", f"{SPACE} 3", "a 4", "b 5"]


def test_numbers_of_a_text_come_back_as_the_text() -> None:
    units = Units.over([SPACE, "a", "b"])
    assert units.numbers("ab a") == [4, 5, 3, 4]
    assert units.text([4, 5, 3, 4]) == "ab a"


def test_numbers_of_a_foreign_character_are_refused() -> None:
    with pytest.raises(KeyError):
        Units.over(["a"]).numbers("z")


def test_end_is_the_unit_of_the_sentence_end() -> None:
    assert Units.over(["a"]).symbols[END] == "<sos/eos>"


def test_pieces_of_frequent_words_are_units_and_spell_any_text() -> None:
    texts = ["the cat and the hat", "the rat sat", "that cat"]
    characters = [SPACE, *sorted(set("".join(texts).replace(" ", "")))]
    chosen = pieces(texts, characters, len(characters) + 6)
    assert len(chosen) == len(set(chosen)) == len(characters) + 6
    assert "\u2581the" in chosen
    assert "at" in chosen
    units = Units.over(chosen)
    assert units.has_pieces
    for text in [*texts, "a hat sat"]:
        assert units.text(units.numbers(text)) == text
    assert len(units.numbers("the cat")) < len("the cat")


def test_pieces_of_few_words_stop_when_nothing_is_left_to_join() -> None:
    assert pieces(["ab"], [SPACE, "a", "b"], 50)[-1] == SPACE + "ab"
    assert len(pieces(["ab"], [SPACE, "a", "b"], 50)) == 5


def test_units_of_single_characters_have_no_pieces() -> None:
    assert not Units.over([SPACE, "a"]).has_pieces

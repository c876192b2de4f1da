"""Units in WeNet's order."""

from __future__ import annotations

import pytest

from model_store.starter.units import SPACE, Units


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

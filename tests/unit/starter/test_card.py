"""The cards of the bundled models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("soundfile")
pytest.importorskip("soxr")

from model_store.starter import card
from model_store.starter.training import Plan

FACTS = card.Facts("yue", "A conformer", 1234567, "12 clips.", Plan(3, 4), None, 7.4, ("first", "second"), note="")


def test_card_says_what_it_is_given() -> None:
    text = card.card(FACTS)
    for words in (
        "Cantonese (yue)",
        "1,234,567 weights",
        "12 clips.",
        "3 epochs, batches of 4",
        "7 minutes",
        "- second",
    ):
        assert words in text
    assert all(len(line) <= 120 for line in text.splitlines())


def test_card_of_a_training_that_left_its_plan_says_so(tmp_path: Path) -> None:
    assert card.note_of(tmp_path) == ""
    (tmp_path / "note.txt").write_text("It was cut short.\n", encoding="utf-8")
    assert "It was cut short." in card.card(replace(FACTS, note=card.note_of(tmp_path)))


def test_card_of_a_domain_says_what_it_was_tuned_from() -> None:
    text = card.card(replace(FACTS, name="zh-finance", base="zh"))
    assert "Fine-tuned from `zh`" in text
    assert "flat alignment" not in text


def test_card_of_the_classifier_claims_no_flat_start() -> None:
    assert "flat alignment" in card.card(FACTS)
    assert "flat alignment" not in card.card(replace(FACTS, name="lid"))


def test_minutes_of_a_log_are_added_up(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text('{"epoch": 1, "seconds": 90.0}\n{"epoch": 2, "seconds": 30.0}\n', encoding="utf-8")
    assert card.minutes_of(log) == pytest.approx(2.0)

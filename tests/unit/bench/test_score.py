"""Figures in model cards."""

from tests.bench.score import FIGURES, REBUILDING, with_figures

CARD = f"# A model\n\nIts words.\n\n{REBUILDING}\n\n    make it\n"


def test_with_figures_puts_them_before_the_rebuilding() -> None:
    card = with_figures(CARD, "| CER |")
    assert card.index("Its words.") < card.index(FIGURES) < card.index("| CER |") < card.index(REBUILDING)
    assert card.endswith("    make it\n")


def test_with_figures_of_a_card_that_has_some_replaces_them() -> None:
    card = with_figures(with_figures(CARD, "| old |"), "| new |")
    assert card == with_figures(CARD, "| new |")

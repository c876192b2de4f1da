"""What each starter recogniser is made of: its texts, its units, its sizes, and how long it is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from model_store.starter.corpus import SEED
from model_store.starter.decoder import DecoderShape
from model_store.starter.network import EncoderShape
from model_store.starter.texts.grammar import Grammar, training_texts
from model_store.starter.texts.languages import EN, FINANCE, LENT, MEDICAL, N_TRAINING, YUE, ZH
from model_store.starter.training import Plan
from model_store.starter.units import Units, pieces

ENCODER = EncoderShape(output_size=112, linear_units=448, num_blocks=5)
DECODER = DecoderShape(attention_heads=4, linear_units=256, num_blocks=2)
N_PIECES = 320


@dataclass(frozen=True)
class Recipe:
    """One recogniser. It learns from the corpus of its grammar, and from as many of another's clips as `beside` says.

    `base` names the recogniser whose weights it begins with, and whose units are its own.
    """

    grammar: Grammar
    plan: Plan
    base: str | None = None
    beside: tuple[Grammar, int] | None = None


SCRATCH = Plan(epochs=8, batch_size=16, warmup_epochs=0.4, gentle_epochs=1.0, averaged=2)
RESTARTED = replace(SCRATCH, epochs=10, restart=(7, 6e-4))
TUNING = Plan(epochs=4, batch_size=16, peak_rate=4e-4, warmup_epochs=0.3, gentle_epochs=0.0, sorted_epochs=0)

RECIPES = {
    "zh": Recipe(ZH, RESTARTED),
    "yue": Recipe(YUE, RESTARTED),
    "en": Recipe(EN, SCRATCH),
    "zh-finance": Recipe(FINANCE, TUNING, base="zh", beside=(ZH, 1500)),
    "zh-medical": Recipe(MEDICAL, TUNING, base="zh", beside=(ZH, 1500)),
}


def units_of(name: str) -> Units:
    """List the units of a recogniser; those of a base cover the grammars that are fine-tuned from it."""
    recipe = RECIPES[name]
    if recipe.base is not None:
        return units_of(recipe.base)
    if recipe.grammar.joiner:
        return Units.over(_pieces(recipe.grammar))
    grammars = [recipe.grammar, *LENT.get(name, ())]
    return Units.over(sorted({unit for grammar in grammars for unit in grammar.units()}))


def _pieces(grammar: Grammar) -> Sequence[str]:
    texts = training_texts(grammar, N_TRAINING[grammar.name], SEED, LENT.get(grammar.name, ()))
    return pieces(texts, grammar.units(), N_PIECES)

"""The whole recipe in miniature: beeps for voices, one block for a network, one epoch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("soundfile")
pytest.importorskip("soxr")

from model_store.starter import corpus, frozen, lid, plans, recipe, samples, speech  # noqa: E402
from model_store.starter.decoder import DecoderShape  # noqa: E402
from model_store.starter.network import EncoderShape  # noqa: E402
from model_store.starter.texts.languages import GRAMMARS  # noqa: E402
from model_store.starter.training import Plan  # noqa: E402

TINY = EncoderShape(output_size=8, attention_heads=2, linear_units=8, num_blocks=1, cnn_module_kernel=3)


def beep(text: str, speaker: speech.Speaker) -> np.ndarray:
    return np.sin(np.arange(8000 + 3200 * len(text)) * speaker.pitch / 300).astype(np.float32)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech, "speak", beep)
    monkeypatch.setattr(corpus, "N_TRAINING", dict.fromkeys(GRAMMARS, 10))
    monkeypatch.setattr(corpus, "N_HELDOUT", 4)
    monkeypatch.setattr(lid, "N_SOUNDS", 6)
    monkeypatch.setattr(lid, "N_HELDOUT_SOUNDS", 4)
    plan = Plan(epochs=1, batch_size=4, averaged=1)
    monkeypatch.setattr(lid, "SHAPE", TINY)
    monkeypatch.setattr(plans, "ENCODER", TINY)
    monkeypatch.setattr(plans, "DECODER", DecoderShape(2, 8, 1))
    tiny_recipes = {name: replace(recipe, plan=plan) for name, recipe in plans.RECIPES.items()}
    monkeypatch.setattr(plans, "RECIPES", tiny_recipes)
    monkeypatch.setattr(lid, "PLAN", replace(plan, seed=2))


def test_recipe_leaves_wenet_directories_with_cards(
    tiny: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frozen, "N_CLIPS", 4)
    frozen.build(tmp_path / "frozen", list(GRAMMARS))
    for name in (*GRAMMARS, "lid"):
        recipe.build(name, tmp_path / "work", tmp_path / "bundle", tmp_path / "frozen")
        folder = tmp_path / "bundle" / name
        names = {"train.yaml", "final.pt", "units.txt", "global_cmvn", "README.md"}
        assert {path.name for path in folder.iterdir()} == names
    card = (tmp_path / "bundle" / "yue" / "README.md").read_text(encoding="utf-8")
    assert "frozen set yue: error rate" in card
    table = (tmp_path / "bundle" / "lid" / "units.txt").read_text(encoding="utf-8")
    assert table.splitlines() == ["zh 0", "yue 1", "en 2", "other 3"]


def test_samples_of_models_that_get_nothing_right_are_none(tiny: None, tmp_path: Path) -> None:
    for name in (*GRAMMARS, "lid"):
        recipe.build(name, tmp_path / "work", tmp_path / "bundle", None)
    samples.write(tmp_path / "work", tmp_path / "bundle", tmp_path / "samples")
    assert (tmp_path / "samples" / "samples.json").read_text(encoding="utf-8").strip() == "[]"
    assert "0 of 4 for zh" in (tmp_path / "samples" / "README.md").read_text(encoding="utf-8")

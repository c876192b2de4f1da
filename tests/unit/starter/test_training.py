"""The training loop on a toy task."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from model_store.starter.training import Plan, fit, learning_rate, mean_weights  # noqa: E402

PLAN = Plan(epochs=4, batch_size=4, averaged=2, seed=3)


class Line:
    """Learn y = 2 x."""

    def __init__(self, stop_after: int | None = None) -> None:
        torch.manual_seed(0)
        self.network = torch.nn.Linear(1, 1)
        self.eases: list[float] = []
        self._stop_after = stop_after

    def groups(self, size: int, rng: random.Random, is_sorted: bool) -> list[list[int]]:
        order = list(range(12))
        if not is_sorted:
            rng.shuffle(order)
        return [order[start : start + size] for start in range(0, 12, size)]

    def loss(self, items: Sequence[int], ease: float, rng: random.Random) -> torch.Tensor:
        if self._stop_after is not None and len(self.eases) == self._stop_after:
            raise KeyboardInterrupt
        self.eases.append(ease)
        x = torch.tensor([[float(i)] for i in items]) * (1 + 0.1 * rng.random())
        return ((self.network(x) - 2 * x) ** 2).mean()

    def error_rate(self) -> float:
        return 0.5


def test_fit_that_was_cut_off_ends_as_the_uninterrupted_one(tmp_path: Path) -> None:
    whole, begun, resumed = Line(), Line(stop_after=7), Line()
    fit(whole, PLAN, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit(begun, PLAN, tmp_path / "parts")
    fit(resumed, PLAN, tmp_path / "parts")
    assert len(resumed.eases) == 6
    torch.testing.assert_close(resumed.network.weight, whole.network.weight, atol=0, rtol=0)


def test_fit_of_a_finished_training_only_loads(tmp_path: Path) -> None:
    first, again = Line(), Line()
    fit(first, PLAN, tmp_path)
    fit(again, PLAN, tmp_path)
    assert again.eases == []
    torch.testing.assert_close(again.network.weight, first.network.weight, atol=0, rtol=0)


def test_fit_leaves_the_mean_of_the_last_epochs(tmp_path: Path) -> None:
    task = Line()
    fit(task, PLAN, tmp_path)
    kept = sorted(tmp_path.glob("epoch*.pt"))
    assert [file.name for file in kept] == ["epoch03.pt", "epoch04.pt"]
    torch.testing.assert_close(task.network.weight, mean_weights(kept)["weight"])
    assert len((tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()) == 4


def test_fit_is_easy_at_first(tmp_path: Path) -> None:
    task = Line()
    fit(task, replace(PLAN, gentle_epochs=2.0), tmp_path)
    assert task.eases[::3] == [1.0, 0.5, 0.0, 0.0]


def test_fit_without_gentle_epochs_is_never_easy(tmp_path: Path) -> None:
    task = Line()
    fit(task, replace(PLAN, gentle_epochs=0.0, sorted_epochs=0), tmp_path)
    assert set(task.eases) == {0.0}


def test_learning_rate_rises_to_its_peak_and_falls_to_almost_nothing() -> None:
    plan = Plan(epochs=10, batch_size=4, peak_rate=1.0, warmup_epochs=2.0)
    rates = [learning_rate(plan, step / 10) for step in range(100)]
    assert rates[0] < 0.01
    assert rates.index(max(rates)) == 20
    assert max(rates) == pytest.approx(1.0)
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert rates[-1] < 0.02


def test_learning_rate_falls_once_more_from_where_it_is_told_to() -> None:
    plan = Plan(epochs=10, batch_size=4, peak_rate=1.0, warmup_epochs=0.0, restart=(6, 0.4))
    rates = [learning_rate(plan, step / 10) for step in range(100)]
    assert rates[59] < 0.02
    assert rates[60] == pytest.approx(0.4)
    assert rates[60:] == sorted(rates[60:], reverse=True)
    assert rates[-1] < 0.02

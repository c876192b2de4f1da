"""Every figure is explained, where an operator reads it and in the README."""

import subprocess
import sys
from pathlib import Path

from prometheus_client import REGISTRY

from gateway import metrics

ROOT = Path(__file__).parents[3]


def test_metrics_each_is_named_for_voxgate_and_says_in_a_sentence_what_it_is() -> None:
    for name, _, _, text in metrics.described():
        assert name.startswith("voxgate_")
        assert text.endswith(".")
        assert len(text.split()) >= 4


def test_metrics_described_are_all_that_are_exposed() -> None:
    exposed = {family.name for family in REGISTRY.collect() if family.name.startswith("voxgate_")}
    described = {name.removesuffix("_total") for name, _, _, _ in metrics.described()}
    assert described == exposed


def test_metrics_table_of_the_readme_is_the_one_that_the_module_prints() -> None:
    command = [sys.executable, "-m", "gateway.metrics"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    readme = (ROOT / "README.md").read_text("utf-8")
    _, opening, rest = readme.partition("<!-- metrics -->\n")
    table, closing, _ = rest.partition("<!-- /metrics -->")
    assert opening, "README.md lacks <!-- metrics -->"
    assert closing, "README.md lacks <!-- /metrics -->"
    assert table.strip() == printed.strip(), "run `python -m gateway.metrics` and paste the table"

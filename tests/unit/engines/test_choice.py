"""Which engine runs a version: what is set, the device, the precision, and what the conversion found."""

import msgspec
import pytest

from model_store.artifacts.graphs import NETS_REVISION, GraphRecord
from model_store.engines import choice as choice_module
from model_store.engines.choice import choose
from model_store.errors import LoadFailed

CONVERTED = GraphRecord(
    version="0" * 64,
    paddle="3.1.1",
    nets_revision=NETS_REVISION,
    graphs={"encoder": ("log_probs",)},
    files={},
    engine="openvino",
    precisions=("fp32",),
)
REFUSED = msgspec.structs.replace(CONVERTED, graphs={}, precisions=(), refused="The decoder is 3 off.")


@pytest.fixture(autouse=True)
def _installed(monkeypatch) -> None:
    monkeypatch.setattr(choice_module, "openvino_version", lambda: "2026.4.1")


@pytest.mark.parametrize(
    ("wanted", "kind", "precision", "converted", "engine"),
    [
        ("auto", "cpu", "fp32", CONVERTED, "openvino"),
        ("auto", "cpu", "bf16", CONVERTED, "paddle"),
        ("auto", "cpu", "fp32", REFUSED, "paddle"),
        ("auto", "cpu", "fp32", None, "paddle"),
        ("auto", "gpu", "fp32", CONVERTED, "paddle"),
        ("openvino", "cpu", "fp32", CONVERTED, "openvino"),
        ("openvino", "gpu", "fp16", CONVERTED, "paddle"),
        ("paddle", "cpu", "fp32", CONVERTED, "paddle"),
    ],
)
def test_choose_takes_openvino_on_a_cpu_where_it_was_found_to_answer_alike(wanted, kind, precision, converted, engine):
    assert choose(wanted, kind, precision, converted) == engine


@pytest.mark.parametrize(
    ("precision", "converted", "told"),
    [
        ("fp32", None, "no graphs for OpenVINO; run `python -m model_store.importers graph`"),
        ("fp32", REFUSED, "The decoder is 3 off"),
        ("bf16", CONVERTED, "held against Paddle's in bf16"),
    ],
)
def test_choose_openvino_is_demanded_and_cannot_raises_load_failed_that_says_why(precision, converted, told):
    with pytest.raises(LoadFailed, match=f"{told}.* set runtime.engine to auto"):
        choose("openvino", "cpu", precision, converted)


def test_choose_openvino_is_demanded_and_not_installed_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(choice_module, "openvino_version", lambda: "none")
    with pytest.raises(LoadFailed, match="pip install"):
        choose("openvino", "cpu", "fp32", None)

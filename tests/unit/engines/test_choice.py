"""Which engine runs a version: what is set, the device, the precision, and what the conversion found."""

import msgspec
import pytest

from model_store.artifacts.graphs import NETS_REVISION, GraphRecord
from model_store.engines import choice as choice_module
from model_store.engines.choice import choose, choose_precision, engine_said, precision_said
from model_store.engines.cpu import best_cpu_precision
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
OPTIMIZED = msgspec.structs.replace(CONVERTED, engine="tensorrt", precisions=("fp16",))
REFUSED = msgspec.structs.replace(CONVERTED, graphs={}, precisions=(), refused="The decoder is 3 off.")


@pytest.fixture(autouse=True)
def _installed(monkeypatch) -> None:
    monkeypatch.setattr(choice_module, "openvino_version", lambda: "2026.4.1")


@pytest.mark.parametrize(
    ("wanted", "kind", "precision", "made", "engine"),
    [
        ("auto", "cpu", "fp32", CONVERTED, "openvino"),
        ("auto", "cpu", "bf16", CONVERTED, "paddle"),
        ("auto", "cpu", "fp32", REFUSED, "paddle"),
        ("auto", "cpu", "fp32", None, "paddle"),
        ("auto", "gpu", "fp16", OPTIMIZED, "tensorrt"),
        ("auto", "gpu", "fp32", OPTIMIZED, "paddle"),
        ("auto", "gpu", "fp16", None, "paddle"),
        ("openvino", "cpu", "fp32", CONVERTED, "openvino"),
        ("tensorrt", "gpu", "fp16", OPTIMIZED, "tensorrt"),
        ("paddle", "gpu", "fp16", OPTIMIZED, "paddle"),
        ("paddle", "cpu", "fp32", CONVERTED, "paddle"),
    ],
)
def test_choose_takes_the_faster_one_where_it_was_found_to_answer_alike(wanted, kind, precision, made, engine):
    assert choose(wanted, kind, precision, made) == engine


@pytest.mark.parametrize(
    ("precision", "converted", "told"),
    [
        ("fp32", None, "no graphs for OpenVINO; run `python -m model_store.importers graph`"),
        ("fp32", REFUSED, "The decoder is 3 off"),
        ("bf16", CONVERTED, "held against Paddle's in bf16"),
    ],
)
def test_choose_openvino_is_demanded_and_cannot_raises_load_failed_that_says_why(precision, converted, told):
    with pytest.raises(LoadFailed, match=f"{told}.*--engine auto`, or `runtime.engine`"):
        choose("openvino", "cpu", precision, converted)


def test_choose_openvino_is_demanded_and_not_installed_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(choice_module, "openvino_version", lambda: "none")
    with pytest.raises(LoadFailed, match="pip install"):
        choose("openvino", "cpu", "fp32", None)


@pytest.mark.parametrize(
    ("wanted", "cpu", "gpu"),
    [
        ((None, "auto"), "auto", "auto"),
        ((None, "fp32"), "fp32", "fp32"),
        (("fp32", "auto"), "fp32", "fp32"),
        (("auto", "fp32"), "auto", "auto"),
        (("bf16", "fp32"), "bf16", "fp32"),
        (("fp16", "fp32"), "fp32", "fp16"),
        (("bf16", "fp16"), "bf16", "fp16"),
        (("fp16", "fp16"), "auto", "fp16"),
        ((None, "bf16"), "bf16", "auto"),
    ],
)
def test_precision_said_is_the_first_that_is_meant_for_that_kind_of_device(wanted, cpu, gpu):
    assert (precision_said("cpu", wanted), precision_said("gpu", wanted)) == (cpu, gpu)


@pytest.mark.parametrize(
    ("wanted", "cpu", "gpu"),
    [
        ((None, "auto"), "auto", "auto"),
        (("paddle", "auto"), "paddle", "paddle"),
        (("openvino", "auto"), "openvino", "auto"),
        (("tensorrt", "openvino"), "openvino", "tensorrt"),
        ((None, "openvino"), "openvino", "paddle"),
        ((None, "tensorrt"), "paddle", "tensorrt"),
    ],
)
def test_engine_said_is_the_first_that_is_meant_for_that_kind_of_device(wanted, cpu, gpu):
    assert (engine_said("cpu", wanted), engine_said("gpu", wanted)) == (cpu, gpu)


def test_choose_tensorrt_is_demanded_of_a_version_that_was_not_optimised_says_how_to():
    with pytest.raises(LoadFailed, match="voxgate models optimize NAME"):
        choose("tensorrt", "gpu", "fp16", None)


def test_choose_precision_auto_is_the_fastest_that_is_here_and_else_what_is_said():
    assert choose_precision("cpu", ("auto", "fp32")) == best_cpu_precision()
    assert choose_precision("gpu", (None, "auto")) == "fp16"
    assert choose_precision("cpu", ("fp16", "fp32")) == "fp32"
    assert choose_precision("gpu", ("fp32", "fp16")) == "fp32"

"""With which engine and how precisely a version is loaded; and that its sizes are kept apart from those of another."""

from datetime import UTC, datetime
from typing import Any

import pytest

from model_store.artifacts.graphs import NETS_REVISION, EngineChoice, Fit, Gpu, GraphRecord
from model_store.catalog.records import DeviceKind, Measurement, Rules
from model_store.engines import seam
from model_store.residency.events import Size
from model_store.residency.measurements import Measurements
from model_store.residency.ways import Ways
from model_store.runtime.settings import RuntimeSettings
from tests.manifests import manifest
from tests.unit.residency.rig import Shelf

VERSION = manifest()
ENGINES: tuple[EngineChoice, ...] = ("paddle", "openvino")


def ways(
    *precisions: str, engine: EngineChoice = "auto", refused: str = "", said: Rules | None = None, **settings: Any
) -> Ways:
    """Those of a version whose conversion for OpenVINO was found good in `precisions`, or refused."""
    shelf: Any = Shelf(VERSION)
    if precisions or refused:
        shelf.conversions[VERSION.digest] = GraphRecord(
            version=VERSION.digest,
            paddle="3.1.1",
            nets_revision=NETS_REVISION,
            graphs={},
            files={},
            engine="openvino",
            precisions=precisions,
            refused=refused,
        )
    runtime = RuntimeSettings(**{"precision": "fp32"} | settings, engine=engine)
    return Ways(shelf, lambda model: said if said and model == VERSION.name else Rules(), runtime)


def optimized(fit: Fit) -> Ways:
    """Those on a machine with such a GPU, of a version that was optimised for another, too."""
    shelf: Any = Shelf(VERSION)
    for found in (fit, Fit(Gpu("another", "8.9", "570"), "fp16")):
        shelf.optimizations[VERSION.digest, found] = GraphRecord(
            version=VERSION.digest,
            paddle="3.1.1",
            nets_revision=NETS_REVISION,
            graphs={},
            files={},
            engine="tensorrt",
            precisions=(found.precision,),
            fit=found,
        )
    said = {"precision": "auto", "engine": "auto"}
    return Ways(shelf, lambda _: Rules(), RuntimeSettings(**said), fit.gpu)  # type: ignore[arg-type]


def way(it: Ways, kind: DeviceKind = "cpu") -> tuple[str, str, str]:
    """The engine, the precision, and why it cannot be so."""
    found = it.of(VERSION.digest, kind)
    return found.engine, found.precision, found.refusal.message if found.refusal else ""


@pytest.fixture
def has_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seam, "is_bf16_processor", lambda: True)


def test_way_of_a_converted_version_is_openvinos_on_a_cpu_alone() -> None:
    found = ways("fp32")
    assert way(found) == ("openvino", "fp32", "")
    assert way(found, "gpu") == ("paddle", "fp32", "")


def test_way_of_a_refused_version_is_paddles_and_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    found = ways(refused="The decoder is 3 off.")
    assert [way(found)[0] for _ in range(2)] == ["paddle", "paddle"]
    told = capsys.readouterr().out
    assert told.count("residency.not_converted") == 1
    assert "The decoder is 3 off." in told


@pytest.mark.parametrize("said", [{"engine": "openvino"}, {"said": Rules(engine="openvino")}])
def test_way_with_openvino_demanded_of_a_version_without_it_is_refused_on_the_cpu_alone(said: Any) -> None:
    found = ways(**{"engine": "paddle"} | said)
    assert "--engine auto" in way(found)[2]
    assert way(found, "gpu") == ("paddle", "fp32", "")


@pytest.mark.parametrize(
    ("said", "setting", "cpu", "gpu"),
    [
        (Rules(), "fp32", "fp32", "fp32"),
        (Rules(precision="fp32"), "auto", "fp32", "fp32"),
        (Rules(precision="bf16"), "fp32", "bf16", "fp32"),
        (Rules(precision="fp16"), "fp32", "fp32", "fp16"),
        (Rules(precision="fp16"), "bf16", "bf16", "fp16"),
    ],
)
@pytest.mark.usefixtures("has_bf16")
def test_way_is_as_precise_as_the_model_says_and_else_as_the_settings_say(
    said: Rules, setting: str, cpu: str, gpu: str
) -> None:
    found = ways(said=said, precision=setting)
    assert (way(found)[1], way(found, "gpu")[1]) == (cpu, gpu)


def test_way_engine_of_a_model_goes_before_that_of_the_settings() -> None:
    assert way(ways("fp32", said=Rules(engine="paddle"), engine="openvino"))[0] == "paddle"
    assert way(ways("fp32", said=Rules(engine="auto"), engine="paddle"))[0] == "openvino"
    assert way(ways("fp32", said=Rules(engine="openvino"), engine="paddle"))[0] == "openvino"


def test_way_of_a_version_that_was_optimised_for_this_gpu_is_tensorrts_there() -> None:
    found = optimized(Fit(Gpu("NVIDIA H200", "9.0", "570"), "fp16"))
    assert way(found, "gpu") == ("tensorrt", "fp16", "")
    assert way(found)[0] == "paddle"
    assert found.graph_dir(found.of(VERSION.digest, "gpu")).name == "tensorrt-fp16"
    assert found.graph_dir(found.of(VERSION.digest, "cpu")).name == "paddle"


def test_way_of_a_version_that_was_optimised_in_another_precision_is_paddles() -> None:
    assert way(optimized(Fit(Gpu("NVIDIA H200", "9.0", "570"), "fp32")), "gpu") == ("paddle", "fp16", "")


def test_way_with_tensorrt_demanded_of_a_version_without_it_is_refused_on_gpus_alone() -> None:
    found = ways("fp32", said=Rules(engine="tensorrt"))
    assert "voxgate models optimize" in way(found, "gpu")[2]
    assert way(found) == ("openvino", "fp32", "")


def test_way_with_bf16_demanded_of_a_processor_without_it_is_refused_and_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(seam, "is_bf16_processor", lambda: False)
    found = ways(said=Rules(precision="bf16"))
    assert "--precision`, to auto or fp32" in way(found)[2]
    assert way(found, "gpu") == ("paddle", "fp32", "")


class Kept:
    """A catalogue of measurements alone."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str, str], Measurement] = {}

    async def measurement(self, *key: str) -> Measurement | None:
        return self.kept.get((key[0], key[1], key[2]))

    async def record(self, one: Measurement) -> None:
        self.kept[one.version, one.device_kind, one.precision] = one


async def test_sizes_of_two_engines_are_remembered_apart() -> None:
    catalog: Any = Kept()
    theirs, ours = (ways("fp32", engine=engine).of(VERSION.digest, "cpu") for engine in ENGINES)
    first = Measurements(catalog)
    for loading, steady in ((theirs, 100), (ours, 70)):
        first.loaded(loading, Size(steady, 2 * steady), 1.0)
        await first.save(loading)
    again = Measurements(catalog)
    assert [await again.size(loading) for loading in (theirs, ours)] == [Size(100, 200), Size(70, 140)]
    assert {one.precision for one in catalog.kept.values()} == {"fp32", "openvino-fp32"}
    assert all(one.measured_at <= datetime.now(UTC) for one in catalog.kept.values())

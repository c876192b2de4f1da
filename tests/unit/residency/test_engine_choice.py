"""Which engine a version is loaded with, and that its sizes are kept apart from those of another."""

from datetime import UTC, datetime
from typing import Any, Literal

import pytest

from model_store.artifacts.graphs import NETS_REVISION, GraphRecord
from model_store.catalog.records import Measurement
from model_store.errors import LoadFailed
from model_store.residency.effects import Effects
from model_store.residency.events import Size
from model_store.residency.measurements import Measurements
from model_store.residency.settings import ResidencySettings
from model_store.runtime.settings import RuntimeSettings
from tests.manifests import manifest
from tests.unit.residency.rig import Shelf

VERSION = manifest()


def effects(*precisions: str, engine: Literal["auto", "paddle", "openvino"] = "auto", refused: str = "") -> Effects:
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
    nothing: Any = None
    settings = RuntimeSettings(precision="fp32", engine=engine)
    return Effects(nothing, shelf, nothing, ResidencySettings(), settings, lambda _: None)


def test_loading_of_a_converted_version_is_openvinos_on_a_cpu_alone() -> None:
    found = effects("fp32")
    assert found.loading(VERSION.digest, "cpu").engine == "openvino"
    assert found.loading(VERSION.digest, "gpu").engine == "paddle"


def test_loading_of_a_refused_version_is_paddles_and_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    found = effects(refused="The decoder is 3 off.")
    assert [found.loading(VERSION.digest, "cpu").engine for _ in range(2)] == ["paddle", "paddle"]
    told = capsys.readouterr().out
    assert told.count("residency.not_converted") == 1
    assert "The decoder is 3 off." in told


def test_loading_with_openvino_demanded_of_a_version_without_it_raises_load_failed() -> None:
    with pytest.raises(LoadFailed, match=r"Or set runtime\.engine to auto"):
        effects(engine="openvino").loading(VERSION.digest, "cpu")


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
    theirs, ours = (effects("fp32", engine=engine).loading(VERSION.digest, "cpu") for engine in ("paddle", "openvino"))
    first = Measurements(catalog)
    for loading, steady in ((theirs, 100), (ours, 70)):
        first.learn(loading, Size(steady, 2 * steady), 1.0)
        await first.save(loading)
    again = Measurements(catalog)
    assert [await again.size(loading) for loading in (theirs, ours)] == [Size(100, 200), Size(70, 140)]
    assert {one.precision for one in catalog.kept.values()} == {"fp32", "openvino-fp32"}
    assert all(one.measured_at <= datetime.now(UTC) for one in catalog.kept.values())

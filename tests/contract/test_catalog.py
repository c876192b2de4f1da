"""What every implementation of `Catalog` does; add an implementation to IMPLEMENTATIONS and it is held to all of it."""

import asyncio
import hashlib
import math
import random
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta, timezone
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from model_store.artifacts.manifest import Manifest
from model_store.catalog.protocol import Catalog
from model_store.catalog.records import Measurement, Rules, RulesChange
from model_store.catalog.sql import open_catalog
from model_store.errors import ModelUnknown, NotFound, OptionInvalid, VersionImmutable
from tests import manifests

IMPLEMENTATIONS: dict[str, Callable[[Path], str]] = {
    "sqlite-file": lambda folder: f"sqlite+aiosqlite:///{folder / 'catalog.sqlite3'}",
    "sqlite-memory": lambda _: "sqlite+aiosqlite://",
}
START = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
UNKNOWN = "f" * 64


@pytest.fixture(params=IMPLEMENTATIONS)
async def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Catalog]:
    """An empty catalogue whose clock goes on by a second each time that it is read."""
    seconds = count()
    opened = await open_catalog(
        IMPLEMENTATIONS[request.param](tmp_path), now=lambda: START + timedelta(seconds=next(seconds))
    )
    yield opened
    await opened.close()


def manifest(name: str = "zh-general", revision: int = 0, **changed: Any) -> Manifest:
    """A manifest whose weights differ by `revision`."""
    weights = hashlib.sha256(str(revision).encode()).hexdigest()
    return replace(manifests.manifest(name, weights=weights), **changed)


def measurement(version: str, **changed: Any) -> Measurement:
    """Five gigabytes, which no 32-bit column holds."""
    basis = Measurement(
        version=version,
        device_kind="cpu",
        precision="fp32",
        steady_bytes=5 * 2**30,
        peak_bytes=6 * 2**30,
        load_s=0.75,
        measured_at=START,
    )
    return replace(basis, **changed)


async def test_catalog_empty_has_nothing(catalog: Catalog) -> None:
    assert list(await catalog.models()) == []
    assert list(await catalog.versions()) == []


async def test_register_first_version_creates_its_model(catalog: Catalog) -> None:
    registered = await catalog.register(manifest())
    assert registered.digest == manifest().digest
    assert registered.manifest == manifest()
    [model] = await catalog.models()
    assert (model.name, model.kind, model.language, model.domain) == ("zh-general", "asr", "zh", "general")
    assert model.stable == registered.digest
    assert await catalog.version(registered.digest) == registered
    assert list(await catalog.versions("zh-general")) == [registered]


async def test_register_language_classifier_keeps_what_it_lacks(catalog: Catalog) -> None:
    offered = manifest("lid", kind="lid", language=None, domain=None, labels=("zh", "yue", "en"))
    registered = await catalog.register(offered)
    [model] = await catalog.models()
    assert (model.kind, model.language, model.domain) == ("lid", None, None)
    assert registered.manifest.labels == ("zh", "yue", "en")


async def test_register_newer_version_becomes_stable(catalog: Catalog) -> None:
    first = await catalog.register(manifest(revision=1))
    second = await catalog.register(manifest(revision=2))
    [model] = await catalog.models()
    assert model.stable == second.digest
    assert list(await catalog.versions("zh-general")) == [first, second]


async def test_register_known_version_again_changes_nothing(catalog: Catalog) -> None:
    first = await catalog.register(manifest(revision=1))
    second = await catalog.register(manifest(revision=2))
    assert await catalog.register(manifest(revision=1)) == first
    [model] = await catalog.models()
    assert model.stable == second.digest
    assert len(await catalog.versions()) == 2


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"kind": "lid"}, "kind asr and not lid"),
        ({"language": "yue"}, "language zh and not yue"),
        ({"domain": None}, "domain general and not None"),
    ],
)
async def test_register_for_a_different_model_is_refused(catalog: Catalog, changed: dict[str, Any], said: str) -> None:
    before = await catalog.register(manifest(revision=1))
    with pytest.raises(VersionImmutable, match=said):
        await catalog.register(manifest(revision=2, **changed))
    assert list(await catalog.versions()) == [before]
    assert [model.stable for model in await catalog.models()] == [before.digest]


async def test_register_same_version_at_once_is_one_version(catalog: Catalog) -> None:
    registered = await asyncio.gather(*(catalog.register(manifest()) for _ in range(8)))
    assert all(record == registered[0] for record in registered)
    assert len(await catalog.versions()) == 1


async def test_register_many_at_once_loses_none(catalog: Catalog) -> None:
    wanted = [manifest(name, revision) for name in ("zh-general", "zh-call") for revision in range(5)]
    await asyncio.gather(*(catalog.register(each) for each in wanted))
    assert {record.digest for record in await catalog.versions()} == {each.digest for each in wanted}


async def test_versions_of_unknown_model_are_none(catalog: Catalog) -> None:
    await catalog.register(manifest())
    assert list(await catalog.versions("yue-general")) == []


async def test_version_unknown_is_not_found_and_tells_nothing(catalog: Catalog) -> None:
    known = await catalog.register(manifest())
    with pytest.raises(NotFound) as caught:
        await catalog.version(UNKNOWN)
    told = f"{caught.value.message} {caught.value.details}"
    assert known.digest not in told
    assert known.model not in told


async def test_measurement_never_made_is_none(catalog: Catalog) -> None:
    version = await catalog.register(manifest())
    assert await catalog.measurement(version.digest, "cpu", "fp32") is None
    assert await catalog.measurement(UNKNOWN, "cpu", "fp32") is None


async def test_record_again_replaces_only_the_same_key(catalog: Catalog) -> None:
    version = (await catalog.register(manifest())).digest
    others = [measurement(version, precision="bf16", load_s=2), measurement(version, device_kind="gpu", load_s=3)]
    newer = measurement(version, steady_bytes=7, measured_at=START + timedelta(hours=1))
    for each in [measurement(version), *others, newer]:
        await catalog.record(each)
    assert await catalog.measurement(version, "cpu", "fp32") == newer
    assert await catalog.measurement(version, "cpu", "bf16") == others[0]
    assert await catalog.measurement(version, "gpu", "fp32") == others[1]


async def test_record_same_key_at_once_keeps_one_of_them(catalog: Catalog) -> None:
    version = (await catalog.register(manifest())).digest
    offered = [measurement(version, steady_bytes=size) for size in range(6)]
    await asyncio.gather(*(catalog.record(each) for each in offered))
    assert await catalog.measurement(version, "cpu", "fp32") in offered


async def test_record_for_unknown_version_is_not_found(catalog: Catalog) -> None:
    with pytest.raises(NotFound):
        await catalog.record(measurement(UNKNOWN))


async def test_model_is_the_one_of_that_name(catalog: Catalog) -> None:
    for name in ("zh-general", "zh-call"):
        await catalog.register(manifest(name))
    assert [await catalog.model(name) for name in ("zh-call", "zh-general")] == list(await catalog.models())


async def test_model_unknown_is_told_by_its_name(catalog: Catalog) -> None:
    await catalog.register(manifest())
    with pytest.raises(ModelUnknown, match="no model zh-call") as caught:
        await catalog.model("zh-call")
    assert "zh-general" not in caught.value.message
    with pytest.raises(ModelUnknown, match="no model zh-call"):
        await catalog.change_rules("zh-call", RulesChange(is_pinned=True))


async def test_rules_of_a_new_model_say_nothing(catalog: Catalog) -> None:
    await catalog.register(manifest())
    assert (await catalog.model("zh-general")).rules == Rules()


@pytest.mark.parametrize(
    "said",
    [
        *({"keep_alive_s": value} for value in (0.0, 0.25, 3e9, "forever")),
        *({"priority": value} for value in ("batch", "normal", "interactive")),
        *({"engine": value} for value in ("auto", "paddle", "openvino", "tensorrt")),
        *({"precision": value} for value in ("auto", "fp32", "bf16", "fp16")),
        *({name: value} for name in ("is_pinned", "may_use_cpu") for value in (False, True)),
        {"is_pinned": True, "keep_alive_s": 60.0, "priority": "batch", "may_use_cpu": False, "engine": "paddle"},
    ],
)
async def test_change_rules_what_was_said_is_kept_and_can_be_taken_back(catalog: Catalog, said: Any) -> None:
    await catalog.register(manifest())
    await catalog.register(manifest("zh-call"))
    assert await catalog.change_rules("zh-general", said) == Rules(**said)
    assert [model.rules for model in await catalog.models()] == [Rules(), Rules(**said)]
    nothing: Any = dict.fromkeys(said)
    assert await catalog.change_rules("zh-general", nothing) == Rules()
    assert (await catalog.model("zh-general")).rules == Rules()


async def test_change_rules_leaves_what_is_not_named_and_registering_leaves_all(catalog: Catalog) -> None:
    await catalog.register(manifest(revision=1))
    await catalog.change_rules("zh-general", RulesChange(keep_alive_s="forever", may_use_cpu=False))
    await catalog.change_rules("zh-general", RulesChange(may_use_cpu=None, is_pinned=True))
    await catalog.register(manifest(revision=2))
    assert (await catalog.model("zh-general")).rules == Rules(is_pinned=True, keep_alive_s="forever")


async def test_change_rules_of_one_model_at_once_loses_none(catalog: Catalog) -> None:
    await catalog.register(manifest())
    parts = [
        RulesChange(is_pinned=True),
        RulesChange(keep_alive_s=5.0),
        RulesChange(priority="batch"),
        RulesChange(may_use_cpu=True),
    ]
    await asyncio.gather(*(catalog.change_rules("zh-general", part) for part in parts))
    rules = (await catalog.model("zh-general")).rules
    assert rules == Rules(is_pinned=True, keep_alive_s=5.0, priority="batch", may_use_cpu=True)


@pytest.mark.parametrize(
    "said",
    [
        *({"keep_alive_s": value} for value in (-1.0, math.nan, math.inf, "always", True)),
        {"priority": "high"},
        {"is_pinned": "yes"},
        {"engine": "onnx"},
        {"precision": "int8"},
        {"may_use_gpu": True},
    ],
)
async def test_change_rules_to_what_cannot_be_is_refused_and_changes_nothing(catalog: Catalog, said: Any) -> None:
    await catalog.register(manifest())
    await catalog.change_rules("zh-general", RulesChange(keep_alive_s=5.0))
    with pytest.raises(OptionInvalid, match=next(iter(said))):
        await catalog.change_rules("zh-general", said | {"is_pinned": said.get("is_pinned", True)})
    assert (await catalog.model("zh-general")).rules == Rules(keep_alive_s=5.0)


async def test_moments_come_back_aware_and_utc(catalog: Catalog) -> None:
    version = await catalog.register(manifest())
    in_hong_kong = datetime(2026, 11, 22, 1, 30, 15, 250_000, tzinfo=timezone(timedelta(hours=8)))
    await catalog.record(measurement(version.digest, measured_at=in_hong_kong))
    found = await catalog.measurement(version.digest, "cpu", "fp32")
    assert found is not None
    assert found.measured_at == in_hong_kong
    moments = [found.measured_at, version.created_at, (await catalog.models())[0].created_at]
    moments.append((await catalog.version(version.digest)).created_at)
    assert [moment.utcoffset() for moment in moments] == [timedelta(0)] * 4


@pytest.mark.parametrize("seed", range(3))
async def test_catalog_random_operations_agree_with_dictionaries(catalog: Catalog, seed: int) -> None:
    chance = random.Random(seed)
    languages: dict[str, str | None] = {}
    stable: dict[str, str] = {}
    versions: dict[str, list[str]] = {}
    for _ in range(60):
        name, language = chance.choice(["a", "b", "c"]), chance.choice(["zh", "zh", "zh", "en"])
        offered = manifest(name, chance.randrange(4), language=language)
        if languages.setdefault(name, language) != language:
            with pytest.raises(VersionImmutable):
                await catalog.register(offered)
            continue
        await catalog.register(offered)
        if offered.digest not in versions.setdefault(name, []):
            versions[name].append(offered.digest)
            stable[name] = offered.digest
    models = await catalog.models()
    assert [(model.name, model.language, model.stable) for model in models] == [
        (name, languages[name], stable[name]) for name in sorted(languages)
    ]
    for name, digests in versions.items():
        assert [record.digest for record in await catalog.versions(name)] == digests

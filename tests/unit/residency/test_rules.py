"""Rules of single models: what the catalogue says of one is in force for it, and soon, for what is loaded too."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from sqlalchemy import event

from model_store.artifacts.graphs import NETS_REVISION, Fit, Gpu, GraphRecord
from model_store.catalog.records import Rules, RulesChange
from model_store.catalog.sql import open_catalog
from model_store.engines import seam
from model_store.errors import LoadFailed, ModelUnavailable
from model_store.residency import effects, manager
from model_store.residency.devices import Device, discover
from model_store.residency.events import (
    Gone,
    Grant,
    LoadBroke,
    Loaded,
    ModelRules,
    Outdated,
    Priority,
    Released,
    Ruled,
    Start,
    Stop,
    Tick,
)
from model_store.residency.rules import in_force
from model_store.residency.settings import ResidencySettings
from tests.unit.residency.engines import engine, handle, load, wanted
from tests.unit.residency.rig import MIB, Driver, Rig, running, use

A_MINUTE = ResidencySettings(keep_alive_s=60.0, may_use_cpu=True)


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read again unless the test says so."""
    monkeypatch.setattr(manager, "_CATALOG_EVERY_S", 1e9)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with running(linger_s=0.0) as rig:
        yield rig


async def ruled(rig: Rig, name: str, **change: Any) -> None:
    await rig.catalog.change_rules(name, RulesChange(**change))  # type: ignore[typeddict-item]
    await rig.manager.follow_catalog()


def ready(rig: Rig) -> set[str]:
    return {name for name, phase in rig.standing.items() if phase == "ready"}


@pytest.mark.parametrize(
    ("said", "settings", "rules"),
    [
        (Rules(), ResidencySettings(), ModelRules()),
        (Rules(), A_MINUTE, ModelRules(keep_alive_s=60.0, may_use_cpu=True)),
        (Rules(keep_alive_s="forever"), A_MINUTE, ModelRules(keep_alive_s=math.inf, may_use_cpu=True)),
        (Rules(keep_alive_s=0.0), A_MINUTE, ModelRules(keep_alive_s=0.0, may_use_cpu=True)),
        (Rules(may_use_cpu=False), A_MINUTE, ModelRules(keep_alive_s=60.0)),
        (Rules(may_use_cpu=True), ResidencySettings(), ModelRules(may_use_cpu=True)),
        (Rules(is_pinned=True, priority="batch"), ResidencySettings(), ModelRules(True, priority=Priority.BATCH)),
        (Rules(is_pinned=False, priority="interactive"), ResidencySettings(), ModelRules(priority=Priority(2))),
    ],
)
def test_rules_in_force_are_the_models_own_and_else_those_of_the_settings(
    said: Rules, settings: ResidencySettings, rules: ModelRules
) -> None:
    assert in_force(said, settings) == rules


async def test_model_without_a_keep_alive_goes_at_once_while_another_stays(rig: Rig) -> None:
    await ruled(rig, "a", keep_alive_s=0.0)
    await use(rig, 1)
    await use(rig)
    assert await rig.runtime.workers[1].exited == "told to"
    assert ready(rig) == {"b"}


async def test_model_kept_for_ever_stays_where_the_settings_end_others() -> None:
    async with running(keep_alive_s=0.0, linger_s=0.0) as rig:
        await ruled(rig, "a", keep_alive_s="forever")
        await use(rig)
        await use(rig, 1)
        assert await rig.runtime.workers[1].exited == "told to"
        assert ready(rig) == {"a"}


async def test_rules_said_before_the_start_hold_from_the_first_load_on() -> None:
    catalog = await open_catalog("sqlite+aiosqlite://")
    rig = Rig(catalog)
    await catalog.register(rig.manifests[0])
    await catalog.change_rules("a", RulesChange(keep_alive_s=30.0, is_pinned=True))
    rig.manager.start()
    await use(rig)
    (shown,) = rig.manager.look().residents
    assert (shown.keep_alive_s, shown.is_pinned) == (30.0, True)
    await rig.manager.stop()
    await catalog.close()


@pytest.mark.parametrize(("pinned", "stays"), [("a", {"a", "c"}), (None, {"b", "c"})])
async def test_pinned_model_stays_where_it_would_be_the_one_to_go(pinned: str | None, stays: set[str]) -> None:
    device = Device("cpu", "cpu", "test", 550 * MIB)
    async with running(names=("a", "b", "c"), devices=(device,), linger_s=0.0, turn_s=0.0) as rig:
        rig.runtime.bytes_taken = 250 * MIB
        if pinned:
            await ruled(rig, pinned, is_pinned=True)
        for which in range(3):
            await use(rig, which)
        assert ready(rig) == stays


async def test_changed_rule_ends_a_predictor_that_nobody_uses_without_being_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(manager, "_CATALOG_EVERY_S", 0.001)
    async with running(linger_s=0.0) as rig:
        await use(rig)
        await use(rig, 1)
        await rig.catalog.change_rules("a", RulesChange(keep_alive_s=0.0))
        assert await rig.runtime.workers[0].exited == "told to"
        assert ready(rig) == {"b"}


async def test_changed_rule_is_taken_back_in_time(rig: Rig) -> None:
    await ruled(rig, "a", keep_alive_s=20.0)
    await use(rig)
    await ruled(rig, "a", keep_alive_s=None)
    assert rig.manager.engine.handle(Tick(), 30.0) == []
    assert rig.manager.look().residents[0].keep_alive_s is None


def test_outdated_resident_ends_when_its_lease_is_back_and_nobody_is_let_in_again() -> None:
    it = engine()
    load(it, 1, "a", 80)
    held = handle(it, wanted(2, "a", 80))
    assert held == [Grant(2, 0, is_cold=False)]
    assert handle(it, Outdated(0), Outdated(0)) == []
    assert handle(it, wanted(3, "a", 80)) == []  # it waits for the next one
    assert handle(it, Released(0)) == [Stop(0, "replaced")]
    (start,) = handle(it, Gone(0))
    assert isinstance(start, Start)
    assert handle(it, Loaded(start.resident, 80)) == [Grant(3, start.resident, is_cold=True)]


def test_outdated_load_is_begun_anew_for_who_waits() -> None:
    it = engine()
    handle(it, wanted(1, "a", 40))
    stop, start = handle(it, Outdated(0))
    assert stop == Stop(0, "replaced")
    assert isinstance(start, Start)
    assert handle(it, LoadBroke(0, LoadFailed("It was ended.")), Gone(0)) == []
    assert handle(it, Loaded(start.resident, 40)) == [Grant(1, start.resident, is_cold=True)]


def test_changed_rule_moves_who_waits_ahead_in_the_line() -> None:
    it = engine(turn_s=1e9)
    load(it, 1, "a", 80)
    handle(it, *(wanted(number, version) for number, version in enumerate("abc", start=2)))
    assert [party.version for party in it.parties] == ["b", "c"]
    assert handle(it, Ruled("c", ModelRules(priority=Priority.INTERACTIVE))) == []
    assert [party.version for party in it.parties] == ["c", "b"]


@pytest.fixture
def has_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seam, "is_bf16_processor", lambda: True)


async def loaded_anew(rig: Rig) -> str | None:
    """How precisely what stands alone was loaded, once it is ready."""
    while set(rig.standing.values()) != {"ready"}:  # noqa: ASYNC110  (a load of the rig takes a few turns)
        await asyncio.sleep(0)
    (one,) = rig.manager.look().residents
    return one.precision


@pytest.mark.usefixtures("has_bf16")
async def test_rule_of_another_precision_replaces_what_is_idle_and_asks_nobody(rig: Rig) -> None:
    await use(rig)
    assert await loaded_anew(rig) == "fp32"
    await ruled(rig, "a", precision="bf16")
    assert await rig.runtime.workers[0].exited == "told to"
    assert await loaded_anew(rig) == "bf16"
    last = next(one for one in rig.manager.look().decisions if one.what == "evict")
    assert (last.reason, last.detail) == ("replaced", "its rules have it loaded in another way")
    assert not await use(rig)  # nobody waits for it


async def test_rule_that_loads_it_as_it_is_replaces_nothing(rig: Rig) -> None:
    await use(rig)
    await ruled(rig, "a", precision="fp32", engine="auto")
    await ruled(rig, "a", precision="fp16")
    await use(rig)
    assert len(rig.runtime.workers) == 1


@pytest.mark.usefixtures("has_bf16")
@pytest.mark.parametrize("is_pinned", [False, True])
async def test_rule_of_another_precision_lets_leases_end_and_those_behind_wait_for_the_new_one(is_pinned: bool) -> None:
    device = Device("cpu", "cpu", "test", 260 * MIB)  # no room for two
    async with running(names=("a",), devices=(device,), linger_s=0.0) as rig:
        rig.runtime.bytes_taken = 250 * MIB
        await use(rig)
        async with rig.lease() as lease:
            await ruled(rig, "a", precision="bf16", is_pinned=is_pinned)
            waiting = asyncio.create_task(use(rig))
            for _ in range(3):
                await rig.manager.follow_catalog()
            assert rig.standing == {"a": "draining"}
            assert not waiting.done()
            assert not lease.worker.exited.done()
        assert await waiting
        assert await loaded_anew(rig) == "bf16"


async def test_rule_that_cannot_be_carried_out_refuses_and_says_what_to_do_until_it_is_taken_back(rig: Rig) -> None:
    await use(rig)
    await ruled(rig, "a", engine="openvino")
    for _ in range(2):
        with pytest.raises(LoadFailed, match="--engine auto"):
            await use(rig)
    await use(rig, 1)
    await ruled(rig, "a", engine=None)
    assert not await use(rig)


@pytest.mark.usefixtures("has_bf16")
async def test_rule_changed_to_the_impossible_while_a_load_waits_is_told_to_who_waits() -> None:
    device = Device("cpu", "cpu", "test", 260 * MIB)
    async with running(devices=(device,), linger_s=0.0) as rig:
        rig.runtime.bytes_taken = 250 * MIB
        async with rig.lease():
            waiting = asyncio.create_task(use(rig, 1))
            while not list(rig.manager.engine.parties):  # noqa: ASYNC110  (it asks the catalogue first)
                await asyncio.sleep(0)
            await ruled(rig, "b", engine="openvino")
        with pytest.raises(LoadFailed, match="--engine auto"):
            await waiting


async def test_catalogue_that_does_not_answer_leaves_the_last_rules_in_force(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent() -> None:
        raise ModelUnavailable("The catalogue's database does not answer.")

    await ruled(rig, "a", keep_alive_s=30.0)
    monkeypatch.setattr(rig.catalog, "models", silent)
    await rig.manager.follow_catalog()
    await use(rig)
    assert rig.manager.look().residents[0].keep_alive_s == 30.0


async def test_warm_lease_asks_the_database_nothing(rig: Rig) -> None:
    await use(rig)
    asked: list[str] = []
    event.listen(rig.catalog._engine.sync_engine, "before_cursor_execute", lambda *told: asked.append(told[2]))
    for _ in range(20):
        assert not await use(rig)
    assert asked == []
    await rig.manager.follow_catalog()
    assert any("model_rules" in each for each in asked)  # it would have been heard


@pytest.fixture
def lost_gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[[Rig], None]:
    """Takes the GPU away from a rig that was made with the devices there are."""
    driver = Driver(2000 * MIB)
    driver.install(monkeypatch)
    monkeypatch.setattr(effects, "_FREED_POLL_S", 0.001)

    def lose(rig: Rig) -> None:
        driver.is_lost = True
        rig.manager.measure()

    return lose


async def test_cpu_stands_in_only_for_the_model_that_allows_it_and_only_while_it_does(
    lost_gpu: Callable[[Rig], None],
) -> None:
    said: dict[str, Any] = {"cpu_budget_bytes": 1000 * MIB, "linger_s": 0.0}
    async with running(devices=discover(ResidencySettings(**said)), **said) as rig:
        lost_gpu(rig)
        await ruled(rig, "a", may_use_cpu=True)
        async with rig.lease() as lease:
            assert (lease.device, lease.is_degraded) == ("cpu", True)
        with pytest.raises(ModelUnavailable, match="is lost"):
            await use(rig, 1)
        await ruled(rig, "a", may_use_cpu=None)
        assert await rig.runtime.workers[0].exited == "told to"
        with pytest.raises(ModelUnavailable, match="is lost"):
            await use(rig)


async def test_rule_that_the_cpu_cannot_follow_matters_only_when_it_has_to_stand_in(
    lost_gpu: Callable[[Rig], None],
) -> None:
    said: dict[str, Any] = {"cpu_budget_bytes": 1000 * MIB, "linger_s": 0.0}
    async with running(devices=discover(ResidencySettings(**said)), **said) as rig:
        await ruled(rig, "a", may_use_cpu=True, engine="openvino")
        async with rig.lease() as lease:
            assert lease.device == "gpu:0"
        lost_gpu(rig)
        with pytest.raises(LoadFailed, match="--engine auto"):
            await use(rig)


@pytest.mark.usefixtures("lost_gpu")
async def test_rule_auto_has_what_is_optimised_for_this_gpu_loaded_with_tensorrt_from_then_on() -> None:
    said: dict[str, Any] = {"cpu_budget_bytes": 1000 * MIB, "linger_s": 0.0}
    async with running(devices=discover(ResidencySettings(**said)), **said) as rig:
        version, fit = rig.manifests[0].digest, Fit(Gpu("a GPU", "9.0", "570.1"), "fp32")
        await ruled(rig, "a", engine="auto")
        await use(rig)
        rig.shelf.optimizations[version, fit] = GraphRecord(
            version=version,
            paddle="3.1.1",
            nets_revision=NETS_REVISION,
            graphs={},
            files={},
            engine="tensorrt",
            precisions=("fp32",),
        )
        await rig.manager.follow_catalog()
        await rig.runtime.workers[0].exited
        for which in range(2):
            await use(rig, which)
        ready = [one for one in rig.manager.look().residents if one.phase.value == "ready"]
        assert {one.model: one.engine for one in ready} == {"a": "tensorrt", "b": "paddle"}

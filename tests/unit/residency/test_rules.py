"""Rules of single models: what the catalogue says of one is in force for it, and soon, for what is loaded too."""

import math
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from sqlalchemy import event

from model_store.catalog.records import Rules, RulesChange
from model_store.catalog.sql import open_catalog
from model_store.errors import ModelUnavailable
from model_store.residency import effects, manager
from model_store.residency.devices import Device, discover
from model_store.residency.events import ModelRules, Priority, Ruled, Tick
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


def test_changed_rule_moves_who_waits_ahead_in_the_line() -> None:
    it = engine(turn_s=1e9)
    load(it, 1, "a", 80)
    handle(it, *(wanted(number, version) for number, version in enumerate("abc", start=2)))
    assert [party.version for party in it.parties] == ["b", "c"]
    assert handle(it, Ruled("c", ModelRules(priority=Priority.INTERACTIVE))) == []
    assert [party.version for party in it.parties] == ["c", "b"]


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

"""The manager follows the catalogue: a version that takes over is there before its first request, if it was wanted."""

from collections.abc import AsyncIterator

import pytest

from model_store.errors import ArtifactCorrupt
from model_store.residency import manager
from tests.manifests import manifest
from tests.unit.residency.rig import Rig, running, use

LATER = manifest("a", weights="1" * 64)


@pytest.fixture
async def rig(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    monkeypatch.setattr(manager, "_CATALOG_EVERY_S", 1e9)  # nothing is read again unless the test says so
    async with running() as rig:
        yield rig


def resident(rig: Rig) -> set[str]:
    return {each.version for each in rig.manager.engine.ledgers["cpu"]}


async def test_version_that_takes_over_from_a_loaded_one_is_prefetched(rig: Rig) -> None:
    await use(rig)
    await rig.publish(LATER)
    await rig.manager.follow_catalog()
    assert resident(rig) == {rig.manifests[0].digest, LATER.digest}
    async with rig.lease(-1) as lease:
        assert lease.version == LATER.digest
    assert not await use(rig, -1)


async def test_version_that_takes_over_from_one_that_nobody_wanted_waits_for_its_first_request(rig: Rig) -> None:
    await use(rig, 1)
    await rig.publish(LATER)
    await rig.manager.follow_catalog()
    assert resident(rig) == {rig.manifests[1].digest}


async def test_version_that_took_over_is_prefetched_once(rig: Rig) -> None:
    await use(rig)
    await rig.publish(LATER)
    await rig.manager.follow_catalog()
    await use(rig, -1)
    await rig.manager.follow_catalog()
    await use(rig, -1)
    assert len(rig.runtime.workers) == 2


async def test_takeover_by_a_version_that_is_not_on_the_shelf_harms_nobody(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await use(rig)
    await rig.publish(LATER)
    monkeypatch.setattr(rig.shelf, "manifest", _lost)
    await rig.manager.follow_catalog()
    assert resident(rig) == {rig.manifests[0].digest}
    assert not await use(rig)


def _lost(digest: str) -> None:
    raise ArtifactCorrupt(f"{digest} is gone")

"""Six versions in a budget for two: everybody is served by the right one, and the machine's memory stays in bounds."""

import asyncio
import contextlib
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from model_store.catalog.settings import CatalogSettings
from model_store.catalog.sql import open_catalog
from model_store.engines.cpu import best_cpu_precision
from tests.integration.conftest import LANGUAGES
from tests.integration.live import Gateway, copied, sampled, until
from tests.integration.sound import speech, wav

StartGateway = Callable[..., Gateway]
CLIPS = [wav(speech(seconds, pitch_hz=pitch_hz)) for seconds, pitch_hz in ((2.0, 110.0), (3.0, 140.0), (2.5, 170.0))]
REQUESTS = 60
AT_ONCE = 8


class Measured(NamedTuple):
    """What was learnt of the six versions, each by itself."""

    data_dir: Path
    texts: dict[tuple[str, int], str]
    shared_bytes: int
    steady_bytes: int
    peak_bytes: int


def shared_bytes(gateway: Gateway) -> int:
    """What counts once for all workers: the fork server, and the libraries."""
    return int(until(lambda: gateway.metric("voxgate_device_memory_bytes", kind="shared"), "a first measurement"))


@pytest.fixture(scope="module")
def measured(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """A first pass over the versions with memory for all of them."""
    gateway = Gateway(copied(template, tmp_path_factory.mktemp("measured") / "data")).started()
    try:
        texts = {
            (language, clip): gateway.transcribe(sound, language=language).json()["text"]
            for language in LANGUAGES
            for clip, sound in enumerate(CLIPS)
        }
        shared = shared_bytes(gateway)
    finally:
        gateway.ended()
    assert len(set(texts.values())) == len(texts)  # or a mix-up would go unseen
    sizes = asyncio.run(_sizes(gateway.data_dir))
    assert len(sizes) == len(LANGUAGES)
    steady, peak = (max(row[column] for row in sizes) for column in (0, 1))
    return Measured(gateway.data_dir, texts, shared, steady, peak)


async def _sizes(data_dir: Path) -> list[tuple[int, int]]:
    catalog = await open_catalog(CatalogSettings().url_in(data_dir))
    try:
        found = [await catalog.measurement(v.digest, "cpu", best_cpu_precision()) for v in await catalog.versions()]
        return [(one.steady_bytes, one.peak_bytes) for one in found if one]
    finally:
        await catalog.close()


def taken_bytes(gateway: Gateway) -> int:
    """Of the fork server and all workers together, by psutil's list of their mappings, what they share counted once.

    That is what the fork server has of its own, what each worker wrote besides, and each file as far as the process
    that has the most of it has it. (Shares of pages, or unique ones, would depend on other gateways on this machine.)
    """
    own, files = 0, dict[str, int]()
    for process in (gateway.fork_server(), *gateway.workers()):
        with contextlib.suppress(psutil.Error):  # it ended meanwhile
            is_worker = process is not None and process.ppid() != gateway.pid
            for mapped in process.memory_maps() if process else ():
                own += mapped.private_dirty if is_worker else mapped.anonymous
                files[mapped.path] = max(files.get(mapped.path, 0), mapped.rss - mapped.anonymous)
    return own + sum(files.values())


def test_six_versions_in_a_budget_for_two_are_served_right_within_it(
    new_gateway: StartGateway, measured: Measured
) -> None:
    # Room for a second one to load beside a first, when both take as much as the largest was seen to take.
    budget = measured.shared_bytes + measured.steady_bytes + measured.peak_bytes
    environ = {"VOXGATE_RESIDENCY_CPU_BUDGET_BYTES": str(budget)}
    gateway = new_gateway(environ, data_dir=measured.data_dir).started()

    rng = random.Random(3)
    wanted = [(rng.choice(LANGUAGES), rng.randrange(len(CLIPS))) for _ in range(REQUESTS)]
    with (
        sampled(lambda: taken_bytes(gateway)) as samples,
        sampled(lambda: len(gateway.workers())) as standing,
        ThreadPoolExecutor(AT_ONCE) as callers,
    ):
        answers = list(callers.map(lambda one: gateway.transcribe(CLIPS[one[1]], language=one[0]), wanted))

    assert [answer.status_code for answer in answers] == [200] * REQUESTS
    assert [answer.json()["voxgate"]["model"] for answer in answers] == [f"{lang}-general" for lang, _ in wanted]
    assert [answer.json()["text"] for answer in answers] == [measured.texts[one] for one in wanted]

    assert len(samples) > REQUESTS / 4
    assert max(samples) <= budget
    assert max(standing) > 1

    loads = gateway.metric("voxgate_model_loads_total")
    assert gateway.metric("voxgate_model_loads_total", outcome="loaded") == loads
    evictions = gateway.metric("voxgate_model_evictions_total")
    for_room, for_deficit = (gateway.metric("voxgate_model_evictions_total", reason=r) for r in ("room", "deficit"))
    assert evictions == for_room + for_deficit == loads - len(gateway.workers())
    assert for_room >= len(LANGUAGES) - len(gateway.workers())
    assert len(LANGUAGES) <= loads <= REQUESTS
    figures_agree(gateway, budget)


def figures_agree(gateway: Gateway, budget: int) -> None:
    """What /metrics says is what psutil says."""

    def bytes_of(kind: str) -> float:
        return gateway.metric("voxgate_device_memory_bytes", device="cpu", kind=kind)

    n_workers = len(gateway.workers())
    assert 1 <= n_workers <= 3  # a third, if it was never seen to take as much as the largest
    until(lambda: gateway.metric("voxgate_residents", phase="ready") == n_workers, "a measurement at rest")
    # Pages of libraries that the fork server has too are counted twice, on the safe side.
    until(lambda: 0 <= bytes_of("measured") - taken_bytes(gateway) < 0.12 * budget, "figures that agree")
    assert bytes_of("shared") < bytes_of("measured") <= bytes_of("charged") <= bytes_of("budget") == budget


def test_version_larger_than_the_budget_is_refused_at_once_and_evicts_nobody(
    new_gateway: StartGateway, measured: Measured
) -> None:
    environ = {"VOXGATE_RESIDENCY_CPU_BUDGET_BYTES": str(measured.steady_bytes)}
    gateway = new_gateway(environ, data_dir=measured.data_dir).started()
    refused = gateway.transcribe(CLIPS[0], language="zh")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "device_memory_exhausted")
    assert int(refused.headers["retry-after"]) >= 1
    assert {"needed_bytes", "capacity_bytes"} <= refused.json()["voxgate"]["details"].keys()
    assert not gateway.workers()

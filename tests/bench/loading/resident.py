"""Bar 8: the memory of a version that is resident, against plain Paddle predictors after the same requests."""

import asyncio
import sys
from collections.abc import Sequence
from typing import Final, NamedTuple

from model_store.predictors.hypotheses import AsrOptions, Precision
from model_store.runtime.local import LocalRuntime
from model_store.runtime.memory import memory_of
from model_store.runtime.messages import Load
from model_store.runtime.seam import Utterance, Worker
from model_store.runtime.settings import RuntimeSettings
from tests.bench.loading.bare import plain
from tests.bench.loading.requests import REQUESTS, batches
from tests.bench.markdown import markdown_table
from tests.bench.side.material import Material
from tests.bench.side.verdicts import holds
from tests.bench.side.ways import Way

SHARE: Final = 0.75
# A worker that nobody asks gives what its runs have freed back after ten seconds.
_IDLE_S: Final = 13.0
_MB: Final = 10**6


class Plain(NamedTuple):
    """Private bytes of plain predictors: of the process before them, after the requests, and at most."""

    precision: Precision
    imported_bytes: int
    private_bytes: int
    most_bytes: int

    @property
    def own_bytes(self) -> int:
        """What came with the version: a worker has the import from its fork server, and shares it."""
        return self.private_bytes - self.imported_bytes


class Resident(NamedTuple):
    """Private bytes of a worker: after it has loaded and warmed up, after the requests, idle, and at most."""

    way: Way
    loaded_bytes: int
    private_bytes: int
    idle_bytes: int
    most_bytes: int


def measured(material: Material, ways: Sequence[Way], requests: int = REQUESTS) -> tuple[Plain, list[Resident]]:
    """The plain predictors in the precision of `ways`, and each of those."""
    precision = ways[0].precision
    with plain(material, precision) as (made, ask):
        took = ask(requests)
    theirs = Plain(precision, made.imported_bytes, took.private_bytes, took.most_bytes)
    print(f"plain: {theirs.private_bytes / _MB:.0f} MB", file=sys.stderr, flush=True)
    return theirs, asyncio.run(_residents(material, ways, requests))


async def _residents(material: Material, ways: Sequence[Way], requests: int) -> list[Resident]:
    runtime = LocalRuntime(RuntimeSettings())
    await runtime.start()
    try:
        return [await _resident(runtime, material, way, requests) for way in ways]
    finally:
        await runtime.stop()


async def _resident(runtime: LocalRuntime, material: Material, way: Way, requests: int) -> Resident:
    store, worker = material.store, await runtime.spawn()
    command = Load(
        version_dir=str(store.version_dir(material.version)),
        graph_dir=str(store.graph_dir(material.version, way.engine)),
        precision=way.precision,
        threads=0,
        device="cpu",
        engine=way.engine,
    )
    await worker.load(command)
    loaded_bytes = _private_bytes(worker)
    for batch in batches(requests):
        for result in await worker.infer([Utterance(pcm, AsrOptions()) for pcm in batch]):
            assert result.failure is None, result.failure
    private_bytes = _private_bytes(worker)
    await asyncio.sleep(_IDLE_S)
    found = Resident(way, loaded_bytes, private_bytes, _private_bytes(worker), worker.peak_private_bytes)
    await worker.stop(1.0)
    return found


def _private_bytes(worker: Worker) -> int:
    return memory_of(worker.pid).private_bytes


def table(theirs: Plain, ours: Sequence[Resident]) -> str:
    """A line each, in MB."""
    heads = ["resident version", "before it", "loaded", "after the requests", "of plain's", "less its import's"]
    heads += ["idle", "of plain's", "at most"]
    rows = [_row(one, theirs) for one in ours]
    sizes = [_shown(size) for size in (theirs.imported_bytes, theirs.private_bytes)]
    name = f"plain Paddle {theirs.precision}, two predictors"
    return markdown_table(heads, [[name, sizes[0], "", sizes[1], "1", "1", "", "", _shown(theirs.most_bytes)], *rows])


def _row(one: Resident, theirs: Plain) -> list[str]:
    ratios = [f"{one.private_bytes / other:.2f}" for other in (theirs.private_bytes, theirs.own_bytes)]
    idle = [_shown(one.idle_bytes), f"{one.idle_bytes / theirs.private_bytes:.2f}"]
    sizes = [_shown(size) for size in (one.loaded_bytes, one.private_bytes)]
    return [f"Voxgate, {one.way.shown}", "0", *sizes, *ratios, *idle, _shown(one.most_bytes)]


def _shown(size: int) -> str:
    return f"{size / _MB:.0f}"


def verdict(one: Resident, theirs: Plain) -> str:
    """Whether the bar is met."""
    share = one.private_bytes / theirs.private_bytes
    told = f"8. {one.way.shown}: {_shown(one.private_bytes)} MB, {share:.2f} of a plain predictor's"
    return f"{told} {_shown(theirs.private_bytes)} MB; the bar is {SHARE:g}: {holds(share <= SHARE)}."

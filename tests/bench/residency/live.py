"""Ten versions and a budget for three, for real: mixed traffic over HTTP, and what all processes take meanwhile."""

import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import psutil

from model_store.artifacts.store import ArtifactStore
from model_store.catalog.settings import CatalogSettings
from model_store.catalog.sql import open_catalog
from model_store.engines.cpu import best_cpu_precision
from model_store.importers.process import Order, import_models
from model_store.starter.install import BUNDLE_DIR
from tests.bench.machine import machine
from tests.bench.markdown import markdown_table
from tests.integration.live import Gateway, sampled, until
from tests.integration.sound import speech, wav
from tests.integration.test_memory import shared_bytes, taken_bytes

VERSIONS: Final = 10
NAMES: Final = tuple(f"zh-{number}" for number in range(VERSIONS))
FITTING: Final = 3
PICTURE: Final = Path(__file__).parents[1] / "memory.png"
CLIPS: Final = [wav(speech(float(seconds))) for seconds in np.geomspace(0.9, 29.0, 12)]
MIB: Final = 2**20
_REQUESTS: Final = 400
_CALLERS: Final = 4


@dataclass(frozen=True)
class Sizes:
    """What was measured when all versions stood side by side: what they share, and the largest of them."""

    shared_bytes: int
    steady_bytes: int
    peak_bytes: int

    def budget_for(self, versions: float) -> int:
        """Room for so many, also while the last of them loads."""
        return int(self.shared_bytes + versions * self.peak_bytes)


@dataclass(frozen=True)
class Sample:
    """What all processes took at one moment, by psutil, and what they were charged."""

    at_s: float
    taken_bytes: int
    charged_bytes: int


@dataclass(frozen=True)
class Answer:
    """What one request came to, and when; `model` as it was asked for."""

    at_s: float
    wall_s: float
    model: str
    status: int
    is_cold: bool


@dataclass(frozen=True)
class Run:
    """Mixed traffic on one budget."""

    budget_bytes: int
    samples: list[Sample]
    answers: list[Answer]
    loads: int
    evictions: int

    @property
    def most_bytes(self) -> int:
        """The most that was ever taken."""
        return max(sample.taken_bytes for sample in self.samples)

    @property
    def errors(self) -> int:
        """Requests that were not answered well."""
        return sum(answer.status != 200 for answer in self.answers)

    def median_s(self, *, is_cold: bool) -> float:
        """Of the requests that waited for a load, or of the others."""
        return statistics.median(answer.wall_s for answer in self.answers if answer.is_cold is is_cold)


def main(requests: int = _REQUESTS) -> None:
    """Print the figures, draw the picture."""
    with tempfile.TemporaryDirectory() as folder:
        data_dir = made(Path(folder) / "data")
        run = mixed(data_dir, measured(data_dir).budget_for(FITTING), requests)
    print(
        f"{VERSIONS} versions, a budget for {FITTING}, {_CALLERS} callers, on {machine()}, "
        f"load {psutil.getloadavg()[0]:.1f}:"
    )
    print(told(run))
    draw(PICTURE, run)


def made(data_dir: Path) -> Path:
    """A data directory with the bundled model for Mandarin under ten names, which makes it ten versions."""
    data_dir.mkdir()
    asyncio.run(_imported(data_dir))
    return data_dir


async def _imported(data_dir: Path) -> None:
    store = ArtifactStore(data_dir / "artifacts")
    catalog = await open_catalog(CatalogSettings().url_in(data_dir))
    source = str(BUNDLE_DIR / "zh")
    orders = [Order(source=source, name=name, language="zh", domain=name, layout="wenet") for name in NAMES]
    try:
        for digest in await import_models(orders, store):
            await catalog.register(store.manifest(digest))
    finally:
        await catalog.close()


def measured(data_dir: Path) -> Sizes:
    """What the versions take; afterwards the catalogue there knows it too."""
    gateway = Gateway(data_dir).started()
    try:
        for name in NAMES:
            for clip in CLIPS:
                gateway.transcribe(clip, model=name).raise_for_status()
        shared = shared_bytes(gateway)
    finally:
        gateway.ended()
    sizes = asyncio.run(_remembered(data_dir))
    return Sizes(shared, max(steady for steady, _ in sizes), max(peak for _, peak in sizes))


async def _remembered(data_dir: Path) -> list[tuple[int, int]]:
    catalog = await open_catalog(CatalogSettings().url_in(data_dir))
    try:
        found = [await catalog.measurement(v.digest, "cpu", best_cpu_precision()) for v in await catalog.versions()]
        return [(one.steady_bytes, one.peak_bytes) for one in found if one]
    finally:
        await catalog.close()


def mixed(data_dir: Path, budget_bytes: int, requests: int, seed: int = 7) -> Run:
    """A few callers who want some versions much and others seldom (Zipf 0.9), with clips of 0.9 to 29 s."""
    rng = random.Random(seed)
    weights = [1 / (rank + 1) ** 0.9 for rank in range(VERSIONS)]
    wanted = [(model, rng.choice(CLIPS)) for model in rng.choices(NAMES, weights, k=requests)]
    gateway = Gateway(data_dir, {"VOXGATE_RESIDENCY_CPU_BUDGET_BYTES": str(budget_bytes)}).started()
    try:
        return _mixed(gateway, budget_bytes, wanted)
    finally:
        gateway.ended()


def _mixed(gateway: Gateway, budget_bytes: int, wanted: Sequence[tuple[str, bytes]]) -> Run:
    began_s = time.monotonic()
    samples: list[Sample] = []
    until(lambda: _charged_bytes(gateway), "a first measurement")

    def look() -> int:
        charged = _charged_bytes(gateway)
        samples.append(Sample(time.monotonic() - began_s, taken_bytes(gateway), charged))
        return charged

    def ask(one: tuple[str, bytes]) -> Answer:
        asked_s = time.monotonic()
        answer = gateway.transcribe(one[1], model=one[0])
        is_cold = answer.is_success and answer.json()["voxgate"]["is_cold"]
        return Answer(asked_s - began_s, time.monotonic() - asked_s, one[0], answer.status_code, is_cold)

    with sampled(look), ThreadPoolExecutor(_CALLERS) as callers:
        answers = list(callers.map(ask, wanted))
    loads, evictions = (gateway.metric(f"voxgate_model_{what}_total") for what in ("loads", "evictions"))
    return Run(budget_bytes, samples, answers, int(loads), int(evictions))


def _charged_bytes(gateway: Gateway) -> int:
    return int(gateway.metric("voxgate_device_memory_bytes", device="cpu", kind="charged"))


def told(run: Run) -> str:
    """The figures of a run, as a table in Markdown."""
    cold = sum(answer.is_cold for answer in run.answers)
    heads = ["requests", "errors", "cold", "loads", "evictions", "warm median", "cold median", "budget", "most taken"]
    figures = [len(run.answers), run.errors, cold, run.loads, run.evictions]
    times = [f"{run.median_s(is_cold=is_cold) * 1000:.0f} ms" for is_cold in (False, True)]
    sizes = [f"{size / MIB:.0f} MiB" for size in (run.budget_bytes, run.most_bytes)]
    return markdown_table(heads, [[*map(str, figures), *times, *sizes]]) + "\n"


def draw(file: Path, run: Run) -> None:
    """What is taken and charged over time under the line of the budget; below it each request, cold ones marked."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (memory, requests) = plt.subplots(2, 1, figsize=(12, 7), sharex=True, height_ratios=(3, 2))
    times = [sample.at_s for sample in run.samples]
    taken, charged = ([size / MIB for size in sizes] for sizes in _series(run))
    memory.axhline(run.budget_bytes / MIB, color="#c0392b", label="budget")
    memory.step(times, charged, where="post", color="#888888", linewidth=1, label="charged by the ledger")
    memory.fill_between(times, taken, color="#2c7fb8", alpha=0.25)
    memory.plot(times, taken, color="#2c7fb8", linewidth=1, label="taken, by psutil")
    memory.set_ylim(bottom=0)
    memory.set_ylabel("MiB, what is shared counted once")
    memory.legend(frameon=False, loc="lower right")
    for is_cold, colour, label in (
        (False, "#2c7fb8", "found its model loaded"),
        (True, "#c0392b", "waited for a load"),
    ):
        some = [answer for answer in run.answers if answer.is_cold is is_cold]
        rows = [NAMES.index(answer.model) for answer in some]
        requests.scatter([answer.at_s for answer in some], rows, s=9, color=colour, label=label)
    requests.set_yticks(range(VERSIONS), NAMES)
    requests.set_xlabel("seconds")
    requests.legend(frameon=False, fontsize=9, loc="upper right")
    figure.suptitle(f"{VERSIONS} versions in a budget for {FITTING}: {len(run.answers)} requests, {run.loads} loads")
    figure.tight_layout()
    figure.savefig(file, dpi=110)


def _series(run: Run) -> tuple[list[int], list[int]]:
    return [sample.taken_bytes for sample in run.samples], [sample.charged_bytes for sample in run.samples]

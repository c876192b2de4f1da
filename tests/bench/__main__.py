"""`make bench`: measure on this machine, in one run, and print a section for RESULTS.md.

Figures of one run are compared with each other alone, as ratios of medians: these machines are noisy.
"""

import datetime
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from model_store.engines.cpu import best_cpu_precision
from model_store.starter.install import Sample, bundled_samples
from tests.bench import rescoring
from tests.bench.encoder import __main__ as encoder
from tests.bench.machine import machine
from tests.bench.markdown import markdown_table
from tests.bench.overhead import echoed
from tests.bench.residency import report
from tests.integration.live import Gateway

ROUNDS = 5
STAGES = ("decode", "language", "queue", "features", "encoder", "search", "rescoring", "total")


class Answer(NamedTuple):
    """What one request took; `wall_ms` as its client saw it."""

    wall_ms: float
    duration_s: float
    stages_ms: dict[str, float]
    is_cold: bool


def main() -> None:
    """The bundled samples in each precision of this processor; the encoder at full size; the gateway; eviction."""
    samples = [sample for sample in bundled_samples() if sample.domain == "general"]
    print(f"## First slice, {datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}\n\n`make bench` on {machine()}.\n")
    precisions = dict.fromkeys(("fp32", str(best_cpu_precision())))
    with tempfile.TemporaryDirectory() as folder:
        measured = {precision: measure(Path(folder) / precision, precision, samples) for precision in precisions}
    print(table(measured))
    print()
    encoder.main()
    print()
    rescoring.main()
    print(f"\n## What the gateway adds, {datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}\n")
    echoed.main()
    print(f"\n## Residency in the simulator, {datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}\n")
    report.main()


def measure(data_dir: Path, precision: str, samples: list[Sample]) -> list[Answer]:
    """Every sample once cold (the first of each model), then in rounds."""
    environ = {"VOXGATE_RUNTIME_PRECISION": precision, "VOXGATE_SERVER_STARTER_MODELS": "true"}
    gateway = Gateway(data_dir, environ | {"VOXGATE_RUNTIME_THREADS": "0"}).started()
    try:
        return [ask(gateway, sample) for _ in range(ROUNDS + 1) for sample in samples]
    finally:
        gateway.ended()


def ask(gateway: Gateway, sample: Sample) -> Answer:
    """One sample over HTTP."""
    audio = sample.path.read_bytes()
    began_s = time.perf_counter()
    body: dict[str, Any] = gateway.transcribe(audio, sample.file).raise_for_status().json()
    wall_ms = (time.perf_counter() - began_s) * 1000
    return Answer(wall_ms, body["usage"]["seconds"], body["voxgate"]["stages_ms"], body["voxgate"]["is_cold"])


def table(measured: dict[str, list[Answer]]) -> str:
    """Medians per precision as Markdown."""
    heads = ["precision", "cold request", "model load", "warm request", *STAGES, "real-time factor"]
    rows = [[precision, *figures(answers)] for precision, answers in measured.items()]
    caption = "\nMedians in milliseconds; the requests are the client's view, the stages the gateway's.\n"
    return markdown_table(heads, rows) + "\n" + caption


def figures(answers: list[Answer]) -> list[str]:
    """One row: cold, load, warm, stages, and the gateway's seconds per second of audio."""
    cold = [answer for answer in answers if answer.is_cold]
    warm = [answer for answer in answers if not answer.is_cold]
    stages = [statistics.median(answer.stages_ms.get(stage, 0.0) for answer in warm) for stage in STAGES]
    load = statistics.median(answer.stages_ms["load"] for answer in cold if "load" in answer.stages_ms)
    factor = statistics.median(answer.stages_ms["total"] / 1000 / answer.duration_s for answer in warm)
    middle = [statistics.median(answer.wall_ms for answer in some) for some in (cold, warm)]
    return [f"{value:.1f}" for value in (middle[0], load, middle[1], *stages)] + [f"{factor:.4f}"]


if __name__ == "__main__":
    main()

"""The time of one encoder run at full size: ours, PaddleSpeech's layers as its server runs them, and other engines.

`python -m tests.bench.encoder` measures; each contender is a process of its own, and they take turns.
"""

import contextlib
import datetime
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.bench.encoder.contenders import SHAPE, THREADS, TURN_S, UNITS, kinds
from tests.bench.encoder.work import encoder_gflop, sgemm_gflop
from tests.bench.machine import PAUSE_S, machine
from tests.bench.markdown import markdown_table

ROOT = Path(__file__).parents[3]
ROUNDS = 5
SHAPES = [(seconds, batch) for seconds in (1, 3) for batch in (1, 4, 8)]
FP32_TIMES_EAGER, BF16_TIMES_FP32, BF16_BATCH = 5.0, 1.5, 4
SGEMM_TIMES, SGEMM_SHAPE = 1.5, (3, 8)
FASTEST_TIMES, FASTEST_SHAPE = 1.1, (1, 1)
HEADINGS = {
    "sgemm": "sgemm, GFLOP/s",
    "eager": "PaddleSpeech, eager",
    "eager_amd": "the same, `MKL_DEBUG_CPU_TYPE=5`",
    "fp32": "Paddle fp32",
    "bf16": "Paddle bf16",
    "openvino-fp32": "OpenVINO fp32",
    "openvino-bf16": "OpenVINO bf16",
    "openvino-fp32-w16": "OpenVINO fp32, weights of 16 bits",
    "openvino-bf16-w16": "OpenVINO bf16, weights of 16 bits",
    "onnxruntime": "ONNX Runtime fp32",
    "sherpa_onnx": "sherpa-onnx fp32",
}
OURS = ("fp32", "bf16", "openvino-fp32", "openvino-bf16")
CAPTION = f"""

Medians of {ROUNDS} rounds in milliseconds, {THREADS} threads each; the contenders take turns of {TURN_S:g} s or more,
whose first run does not count. A conformer of 12 blocks, size 512 and {UNITS} units with random weights, from features
to log-probabilities; sherpa-onnx begins with the sound and ends with a text, and has no other way in. OpenVINO has
weights of 8 bits where nothing else is said. In brackets: against eager with `MKL_DEBUG_CPU_TYPE=5`, which is for
AMD's processors.
"""

Measured = dict[tuple[int, int], dict[str, float]]


class Contender(NamedTuple):
    """One way to run the encoder; `environ` is added to its process's."""

    kind: str
    environ: dict[str, str]


def contenders() -> dict[str, Contender]:
    """Those that this machine can run."""
    found = {kind: Contender(kind, {}) for kind in kinds()}
    return found | {"eager_amd": Contender("eager", {"MKL_DEBUG_CPU_TYPE": "5"})}


def main() -> None:
    """Measure and print."""
    print(f"## The encoder, {datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}\n")
    print(f"`python -m tests.bench.encoder` (part of `make bench`) on {machine()}.\n")
    measured = measure()
    print(table(measured))
    print("\n".join(verdicts(measured)))


def measure() -> Measured:
    """Median milliseconds by shape and contender; all contenders go through every round of every shape."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        subprocess.run(_command("export", folder), check=True, env=_environ(folder), stdout=subprocess.DEVNULL)
        ready = {name: stack.enter_context(_started(one, folder)) for name, one in contenders().items()}
        return {shape: _medians(ready, shape) for shape in SHAPES}


def _medians(ready: dict[str, Callable[[str], list[float]]], shape: tuple[int, int]) -> dict[str, float]:
    asked = "{} {}\n".format(*shape)
    rounds = [{name: ask(asked) for name, ask in ready.items()} for _ in range(ROUNDS)]
    return {name: statistics.median(itertools.chain(*(each[name] for each in rounds))) for name in ready}


def _command(kind: str, folder: str) -> list[str]:
    return [sys.executable, "-W", "ignore", "-m", "tests.bench.encoder.contenders", kind, folder]


def _environ(folder: str) -> dict[str, str]:
    threads = {name: str(THREADS) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    return os.environ | threads | {"PYTHONPATH": str(ROOT), "PPSPEECH_HOME": f"{folder}/home"}


@contextlib.contextmanager
def _started(contender: Contender, folder: str) -> Iterator[Callable[[str], list[float]]]:
    with subprocess.Popen(
        _command(contender.kind, folder),
        # PaddleSpeech leaves a log where it is started.
        cwd=folder,
        env=_environ(folder) | contender.environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield lambda asked: _turn(process, asked)


def _turn(process: subprocess.Popen[str], asked: str) -> list[float]:
    assert process.stdin
    assert process.stdout
    time.sleep(PAUSE_S)
    process.stdin.write(asked)
    process.stdin.flush()
    # PaddleSpeech says things on this pipe, too.
    for line in process.stdout:
        if line.startswith("ms "):
            return [float(ms) for ms in line.split()[1:]]
    raise ChildProcessError(f"A contender ended: {process.args!r}")


def table(measured: Measured) -> str:
    """Milliseconds, the sgemm rate and ratios as Markdown."""
    names = [name for name in HEADINGS if name in next(iter(measured.values()))]
    heads = ["audio", "batch", "GFLOP", *(HEADINGS[name] for name in names), "eager / fp32"]
    rows = []
    for (seconds, batch), took in measured.items():
        gflop = encoder_gflop(SHAPE, UNITS, batch, seconds)
        shown = {name: f"{took[name]:.0f}" for name in names} | {"sgemm": f"{_sgemm_rate(took):.0f}"}
        ratio = f"{took['eager'] / took['fp32']:.2f} ({took['eager_amd'] / took['fp32']:.2f})"
        rows.append([f"{seconds} s", str(batch), f"{gflop:.1f}", *(shown[name] for name in names), ratio])
    return markdown_table(heads, rows) + CAPTION


def verdicts(measured: Measured) -> Iterator[str]:
    """Whether the bars are met."""
    slowest = min(took["eager"] / took["fp32"] for took in measured.values())
    yield f"- fp32 against eager: {slowest:.1f} times faster at the least; the bar is {FP32_TIMES_EAGER:g}."
    gains = [took["fp32"] / took["bf16"] for (_, n), took in measured.items() if "bf16" in took and n == BF16_BATCH]
    if gains:
        yield f"- bf16 / fp32 at batch {BF16_BATCH}: {min(gains):.2f} times at least; the bar is {BF16_TIMES_FP32:g}."
    seconds, batch = SGEMM_SHAPE
    took, gflop = measured[SGEMM_SHAPE], encoder_gflop(SHAPE, UNITS, batch, seconds)
    for name in (name for name in took if "bf16" in name):
        rate = 1000 * gflop / took[name]
        times = f"{rate:.0f} GFLOP/s, {rate / _sgemm_rate(took):.2f} times sgemm's {_sgemm_rate(took):.0f}"
        yield f"- 3. {name} at {seconds} s and batch {batch}: {times}; the bar is {SGEMM_TIMES:g}."
    took = {name: ms for name, ms in measured[FASTEST_SHAPE].items() if name != "sgemm"}
    best, fastest = min(OURS, key=lambda name: took.get(name, float("inf"))), min(took, key=lambda name: took[name])
    told = f"ours is {best} with {took[best]:.1f} ms, of all it is {fastest} with {took[fastest]:.1f} ms"
    yield f"- 3. 1 s at batch 1: {told}: {took[best] / took[fastest]:.2f} times; the bar is {FASTEST_TIMES:g}."


def _sgemm_rate(took: dict[str, float]) -> float:
    return 1000 * sgemm_gflop() / took["sgemm"]


if __name__ == "__main__":
    main()

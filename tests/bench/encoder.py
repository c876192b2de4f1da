"""The time of one encoder run at full size: ours, and PaddleSpeech's layers as its command and server run them.

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

from model_store.artifacts.graphs import can_convert
from model_store.engines.cpu import is_bf16_processor
from tests.bench.contenders import THREADS, TURN_S, UNITS
from tests.bench.machine import machine
from tests.bench.markdown import markdown_table

ROOT = Path(__file__).parents[2]
ROUNDS = 5
SHAPES = [(seconds, batch) for seconds in (1, 3) for batch in (1, 4, 8)]
# Idle threads of one process spin for a while and would slow down the next.
PAUSE_S = 0.3
FP32_TIMES_EAGER, BF16_TIMES_FP32, BF16_BATCH = 5.0, 1.5, 4
CAPTION = f"""

Medians of {ROUNDS} rounds in milliseconds, {THREADS} threads each; the contenders take turns of {TURN_S:g} s or more,
whose first run does not count. A conformer of 12 blocks, size 512 and {UNITS} units with random weights, from features
to log-probabilities. In brackets: against eager with `MKL_DEBUG_CPU_TYPE=5`, for AMD's processors.
"""


class Contender(NamedTuple):
    """One way to run the encoder; `environ` is added to its process's."""

    heading: str
    kind: str
    environ: dict[str, str]


def contenders() -> dict[str, Contender]:
    """Those that this processor can run."""
    found = {
        "eager": Contender("PaddleSpeech, eager", "eager", {}),
        "eager_amd": Contender("the same, `MKL_DEBUG_CPU_TYPE=5`", "eager", {"MKL_DEBUG_CPU_TYPE": "5"}),
        "fp32": Contender("fp32", "fp32", {}),
    }
    found |= {"bf16": Contender("bf16", "bf16", {})} if is_bf16_processor() else {}
    if can_convert():
        precisions = [name for name in ("fp32", "bf16") if name in found]
        found |= {f"openvino-{name}": Contender(f"OpenVINO {name}", f"openvino-{name}", {}) for name in precisions}
    return found


def main() -> None:
    """Measure and print."""
    print(f"## The encoder, {datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}\n")
    print(f"`python -m tests.bench.encoder` (part of `make bench`) on {machine()}.\n")
    measured = measure()
    print(table(measured))
    print("\n".join(verdicts(measured)))


def measure() -> dict[tuple[int, int], dict[str, float]]:
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
    return [sys.executable, "-W", "ignore", "-m", "tests.bench.contenders", kind, folder]


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


def table(measured: dict[tuple[int, int], dict[str, float]]) -> str:
    """Milliseconds and ratios as Markdown."""
    ran = contenders()
    heads = ["audio", "batch", *(one.heading for one in ran.values()), "eager / fp32"]
    heads += ["fp32 / bf16"] if "bf16" in ran else []
    rows = []
    for (seconds, batch), took in measured.items():
        ratios = [_times(took["eager"], took["fp32"]) + f" ({_times(took['eager_amd'], took['fp32'])})"]
        ratios += [_times(took["fp32"], took["bf16"])] if "bf16" in ran else []
        rows.append([f"{seconds} s", str(batch), *(f"{took[name]:.0f}" for name in ran), *ratios])
    return markdown_table(heads, rows) + CAPTION


def verdicts(measured: dict[tuple[int, int], dict[str, float]]) -> Iterator[str]:
    """Whether the bars are met."""
    slowest = min(took["eager"] / took["fp32"] for took in measured.values())
    yield f"fp32 against eager: {slowest:.1f} times faster at the least; the bar is {FP32_TIMES_EAGER:g}."
    gains = [took["fp32"] / took["bf16"] for (_, n), took in measured.items() if "bf16" in took and n == BF16_BATCH]
    if gains:
        yield f"bf16 against fp32 at batch {BF16_BATCH}: {min(gains):.2f} at the least; the bar is {BF16_TIMES_FP32:g}."


def _times(slow: float, fast: float) -> str:
    return f"{slow / fast:.2f}"


if __name__ == "__main__":
    main()

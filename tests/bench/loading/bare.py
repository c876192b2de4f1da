"""The script of `plain`, asked from outside its process."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from model_store.predictors.hypotheses import Precision
from tests.bench.loading.plain import MARK, Made, Took
from tests.bench.side.material import Material, python_path

T = TypeVar("T")


@contextlib.contextmanager
def plain(material: Material, precision: Precision) -> Iterator[tuple[Made, Callable[[int], Took]]]:
    """What making it took, and a way to have it answer so many requests."""
    store = material.store
    places = [store.version_dir(material.version), store.graph_dir(material.version)]
    command = [sys.executable, "-W", "ignore", "-m", "tests.bench.loading.plain", *map(str, places)]
    process = subprocess.Popen(
        [*command, precision, str(first_clip(material))],
        env=os.environ | python_path(),
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with process:
        yield _heard(process, Made), lambda requests: _asked(process, requests)


def first_clip(material: Material) -> Path:
    """What the first run is of."""
    return min(material.clips.glob("*.wav"))


def _asked(process: "subprocess.Popen[str]", requests: int) -> Took:
    assert process.stdin
    process.stdin.write(f"{requests}\n")
    process.stdin.flush()
    return _heard(process, Took)


def _heard(process: "subprocess.Popen[str]", kind: type[T]) -> T:
    assert process.stdout
    for line in process.stdout:
        if line.startswith(MARK):
            return msgspec.json.decode(line.removeprefix(MARK), type=kind)
    raise ChildProcessError(f"The plain script ended: {process.args!r}")

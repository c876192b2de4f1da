"""`python -m tests.bench.long.send URL RECORDING`: send a recording, wait for its text, print what came of it.

A process of its own, so that it takes no time from who measures something else.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec

from tests.bench.side.material import MODEL, python_path
from tests.integration.live import TRANSCRIPTIONS

_TIMEOUT_S = 3 * 3600.0


class Sent(msgspec.Struct, frozen=True):
    """How long the answer took, how many characters it has, and the stages that it tells of."""

    wall_s: float
    characters: int
    stages_ms: dict[str, float]


def main() -> None:
    """Send it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("recording", type=Path)
    said = parser.parse_args()
    began_s = time.perf_counter()
    with said.recording.open("rb") as file, httpx.Client(base_url=said.url, timeout=_TIMEOUT_S) as client:
        answer = client.post(TRANSCRIPTIONS, files={"file": file}, data={"model": MODEL}).raise_for_status().json()
    sent = Sent(time.perf_counter() - began_s, len(answer["text"]), answer["voxgate"]["stages_ms"])
    print(msgspec.json.encode(sent).decode())


@contextlib.contextmanager
def sending(url: str, recording: Path) -> Iterator[subprocess.Popen[str]]:
    """Somebody who sends it; gone in the end, whether the answer has come or not."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.bench.long.send", url, str(recording)]
    with subprocess.Popen(command, env=os.environ | python_path(), text=True, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.terminate()


def answer_to(process: subprocess.Popen[str]) -> Sent:
    """What came of it; waited for."""
    told, _ = process.communicate()
    if process.returncode:
        raise ChildProcessError("the recording was not answered")
    return msgspec.json.decode(told, type=Sent)


if __name__ == "__main__":
    main()

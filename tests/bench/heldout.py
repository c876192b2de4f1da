"""`python -m tests.bench.heldout`: the frozen test sets through the gateway, and a table of what came back.

Neither language nor domain is said: what is measured is what a caller gets. `tests.bench.score` measures a model.
"""

import argparse
import statistics
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from model_store.starter.frozen import SETS, Clip, read_files
from model_store.starter.scoring import error_rate
from tests.bench.machine import machine
from tests.bench.score import FROZEN_DIR
from tests.integration.live import Gateway

AT_ONCE = 4


class Heard(NamedTuple):
    """One clip: what was said, what was heard, and in which language."""

    clip: Clip
    text: str
    language: str


def main() -> None:
    """Serve the bundled models as they come, and ask for every clip."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.heldout", description=__doc__)
    parser.add_argument("--set", dest="sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--limit", type=int, help="only so many clips of each set")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as data_dir:
        gateway = Gateway(Path(data_dir) / "data", {"VOXGATE_SERVER_STARTER_MODELS": "true"}).started()
        try:
            heard = {name: hear(gateway, name, arguments.limit) for name in arguments.sets}
        finally:
            gateway.ended()
    print(f"Frozen sets through the gateway, language and domain not said, on {machine()}:\n")
    print(table(heard))


def hear(gateway: Gateway, name: str, limit: int | None) -> list[Heard]:
    """Every clip of one set, a few at the same time."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(lambda one: ask(gateway, *one), list(read_files(FROZEN_DIR, name))[:limit]))


def ask(gateway: Gateway, clip: Clip, raw: bytes) -> Heard:
    """One clip, as the Opus file that it is."""
    body = gateway.transcribe(raw, clip.name).raise_for_status().json()
    return Heard(clip, body["text"], body["voxgate"]["language"] or "none")


def table(heard: dict[str, list[Heard]]) -> str:
    """One row per set as Markdown."""
    lines = [
        "| set | utterances | language found | CER or WER (95 %) | utterances without an error |",
        "|---|---|---|---|---|",
    ]
    for name, clips in heard.items():
        found = statistics.mean(one.language in one.clip.language.split("-") for one in clips)
        rate = error_rate([one.clip.text for one in clips], [one.text for one in clips])
        right = statistics.mean(one.clip.text == one.text for one in clips)
        lines.append(f"| {name} | {len(clips)} | {found:.1%} | {rate} | {right:.1%} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

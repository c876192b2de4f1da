"""`python -m tests.bench.heldout DIR`: score the served starter models on held-out clips, and print a table.

DIR is what the recipe leaves under its `--work`: a folder per language with clips and `manifest.json`. No sentence and
no voice of these is in the training. The language is not said: what is measured is what a caller gets.
"""

import argparse
import json
import statistics
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from model_store.starter.scoring import character_error_rate
from tests.bench.machine import machine
from tests.integration.live import Gateway

AT_ONCE = 4


class Scored(NamedTuple):
    """One clip: what was said, what was heard, and in which language."""

    truth: str
    heard: str
    language: str


def main() -> None:
    """Serve the bundled models as they come, and ask for every clip."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("heldout", type=Path)
    folder = parser.parse_args().heldout
    with tempfile.TemporaryDirectory() as data_dir:
        gateway = Gateway(Path(data_dir) / "data", {"VOXGATE_SERVER_STARTER_MODELS": "true"}).started()
        try:
            scores = {manifest.parent.name: score(gateway, manifest) for manifest in folder.glob("*/manifest.json")}
        finally:
            gateway.ended()
    print(f"Held-out clips through the gateway, language not said, on {machine()}:\n")
    print(table(scores))


def score(gateway: Gateway, manifest: Path) -> list[Scored]:
    """Every clip of one language, a few at the same time."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(lambda clip: ask(gateway, manifest.parent, clip), json.loads(manifest.read_text())))


def ask(gateway: Gateway, folder: Path, clip: dict[str, Any]) -> Scored:
    """One clip."""
    body = gateway.transcribe((folder / clip["file"]).read_bytes(), clip["file"]).raise_for_status().json()
    return Scored(clip["text"], body["text"], body["voxgate"]["language"] or "none")


def table(scores: dict[str, list[Scored]]) -> str:
    """One row per language as Markdown."""
    lines = [
        "| language | clips | language found | character error rate | clips without an error |",
        "|---|---|---|---|---|",
    ]
    for language, clips in sorted(scores.items()):
        found = statistics.mean(clip.language == language for clip in clips)
        rate = character_error_rate([clip.truth for clip in clips], [clip.heard for clip in clips])
        right = statistics.mean(clip.truth == clip.heard for clip in clips)
        lines.append(f"| {language} | {len(clips)} | {found:.1%} | {rate:.2%} | {right:.1%} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

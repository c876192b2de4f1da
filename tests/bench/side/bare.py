"""`python -m tests.bench.side.bare VERSION_DIR GRAPH_DIR CLIPS ENGINE PRECISION`: what the machine can do, bare.

From the bytes of wav files to texts, with beam and rescoring as they are by default, in one process and one thread of
Python; no HTTP, no queue. It takes turns when it is asked to.
"""

import argparse
import io
import itertools
import sys
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Final, get_args

import msgspec
import numpy as np

from model_store.artifacts.graphs import EngineName
from model_store.engines.choice import preload
from model_store.predictors.hypotheses import AsrOptions, Precision, Recognition
from model_store.predictors.load import load
from model_store.predictors.predictor import FloatArray, Predictor

THREADS: Final = 2
MARK: Final = "turn "


class Turn(msgspec.Struct, frozen=True):
    """Milliseconds of each run of `batch` clips, and of each stage in the mean; characters of a text in the mean.

    `audio_s` is what all runs heard together, `cpu_s` what the process computed for it: that also tells on a machine
    where others take their part.
    """

    batch: int
    runs_ms: list[float]
    stages_ms: dict[str, float]
    characters: float
    audio_s: float = 0.0
    cpu_s: float = 0.0

    @property
    def audio_s_per_s(self) -> float:
        """Over all runs: the clips may be of many lengths."""
        return 1000 * self.audio_s / sum(self.runs_ms)


def main() -> None:
    """Answer each line `BATCH SECONDS` with a turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("version_dir", "graph_dir", "clips"):
        parser.add_argument(name, type=Path)
    parser.add_argument("engine", choices=get_args(EngineName))
    parser.add_argument("precision", choices=get_args(Precision))
    said = parser.parse_args()
    preload()
    predictor = load(said.version_dir, said.graph_dir, precision=said.precision, threads=THREADS, engine=said.engine)
    clips = itertools.cycle([clip.read_bytes() for clip in sorted(said.clips.glob("*.wav"))])
    for line in sys.stdin:
        batch, seconds = line.split()
        turn = take_turn(predictor, clips, int(batch), float(seconds))
        print(MARK + msgspec.json.encode(turn).decode(), flush=True)


def take_turn(predictor: Predictor, clips: Iterator[bytes], batch: int, seconds: float) -> Turn:
    """Runs of so many clips; the first is for the caches, and prepares for a shape that is new."""
    runs_ms: list[float] = []
    stages_s: dict[str, float] = {}
    characters, audio_s = 0, 0.0
    _recognised(predictor, list(itertools.islice(clips, batch)))
    began_cpu_s = time.process_time()
    while sum(runs_ms) < seconds * 1000:
        files = list(itertools.islice(clips, batch))
        began_s = time.perf_counter()
        stages, texts = _recognised(predictor, files)
        runs_ms.append((time.perf_counter() - began_s) * 1000)
        characters += sum(map(len, texts))
        audio_s += sum(map(_seconds, files))
        stages_s = {name: stages_s.get(name, 0.0) + took_s for name, took_s in stages.items()}
    count = len(runs_ms)
    stages_ms = {name: 1000 * spent_s / count for name, spent_s in stages_s.items()}
    return Turn(batch, runs_ms, stages_ms, characters / count / batch, audio_s, time.process_time() - began_cpu_s)


def _recognised(predictor: Predictor, files: list[bytes]) -> tuple[dict[str, float], list[str]]:
    prediction = predictor.predict([_decoded(file) for file in files], [AsrOptions()] * len(files))
    outcomes = (outcome for outcome in prediction.outcomes if isinstance(outcome, Recognition))
    return prediction.stages_s, [outcome.hypotheses[0].text for outcome in outcomes]


def _seconds(file: bytes) -> float:
    with wave.open(io.BytesIO(file)) as clip:
        return float(clip.getnframes() / clip.getframerate())


def _decoded(file: bytes) -> FloatArray:
    with wave.open(io.BytesIO(file)) as clip:
        pcm = np.frombuffer(clip.readframes(clip.getnframes()), "<i2")
    return pcm.astype(np.float32) / 32768


if __name__ == "__main__":
    main()

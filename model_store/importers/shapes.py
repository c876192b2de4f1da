"""`python -m model_store.importers.shapes GRAPH_DIR PRECISION N_MELS`: one run of every shape that an encoder is given.

OpenVINO 2026.4 loops for ever over some: a convolution of 144 planes, five wide, by steps of three, in bf16 and with
two threads, at 416 frames. Nothing can stop that from within, so it is done in a process of its own, and watched.
"""

import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from model_store.artifacts.graphs import CLASSIFIER, ENCODER, read_record
from model_store.engines.openvino import OpenVinoEngine
from model_store.engines.seam import EnginePrecision
from model_store.predictors.batching import MAX_RUN_FRAMES, bucket_of

_MOST_CLIPS = 8
_MIN_FRAMES = 32
# For one run, on a machine that has other things to do. The longest takes some seconds.
_PATIENCE_S = 60.0


def shapes() -> Iterator[tuple[int, int]]:
    """Clips and frames of every run of up to the most frames that there may be, and up to eight clips."""
    lengths = sorted({bucket_of(n) for n in range(_MIN_FRAMES, MAX_RUN_FRAMES + 1)})
    return ((clips, n) for clips in range(1, _MOST_CLIPS + 1) for n in lengths if clips * n <= MAX_RUN_FRAMES)


def stuck_at(graph_dir: Path, precision: EnginePrecision, n_mels: int, patience_s: float = _PATIENCE_S) -> str:
    """The shape that never ends, or ends the process; empty where there is none. With as many threads as cores."""
    command = [sys.executable, "-m", "model_store.importers.shapes", str(graph_dir), precision, str(n_mels)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdout  # noqa: S101  (it is a pipe)
        expected = ["the start", *(f"{clips} x {n} frames" for clips, n in shapes())]
        for told in expected:
            is_told, _, _ = select.select([process.stdout], [], [], patience_s)
            if not is_told or not process.stdout.readline():
                process.kill()
                return told
    return ""


def main() -> None:
    """Say a line when loaded, and one after each run."""
    graph_dir, precision, n_mels = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    graphs = read_record(graph_dir).graphs
    graph = ENCODER if ENCODER in graphs else CLASSIFIER
    how: EnginePrecision = "bf16" if precision == "bf16" else "fp32"
    engine = OpenVinoEngine(graph_dir, graph, graphs[graph], precision=how, threads=0)
    print("loaded", flush=True)
    for clips, n in shapes():
        engine.run({"feats": np.ones((clips, n, n_mels), np.float32), "lengths": np.full(clips, n, np.int64)}, [])
        print(clips, n, flush=True)


if __name__ == "__main__":
    main()

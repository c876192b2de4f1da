"""`python -m tests.bench.encoder.contenders KIND FOLDER`: runs the full-size encoder in one way, when it is asked.

`export` writes what all but PaddleSpeech's layers run into FOLDER.
"""

import argparse
import functools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from model_store.artifacts.graphs import can_convert
from model_store.artifacts.manifest import Manifest, Source
from model_store.engines.cpu import is_bf16_processor
from model_store.engines.seam import Array
from tests.bench.encoder import foreign, work
from tests.bench.encoder.work import Turn
from tests.manifests import SMALL_CONFORMER
from tests.reference.networks import N_MELS, NETWORKS, settings

THREADS = 2
TURN_S = 1.0
UNITS = NETWORKS["conformer"].units
SHAPE = msgspec.structs.replace(
    SMALL_CONFORMER, n_mels=N_MELS, size=512, heads=8, linear_units=2048, blocks=12, conv_kernel=15, norm_epsilon=1e-12
)
ONNX = "exact.onnx"
# Graphs with weights of 16 bits, and what is added to the kind that runs them.
HALVED = "w16"


def kinds() -> list[str]:
    """Those that this machine can run."""
    precisions = ["fp32", "bf16"] if is_bf16_processor() else ["fp32"]
    converted = [f"openvino-{how}" for how in (*precisions, f"{precisions[-1]}-{HALVED}")] if can_convert() else []
    return ["sgemm", "eager", *precisions, *converted, *foreign.installed()]


def main() -> None:
    """Be the contender that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["export", *kinds()])
    parser.add_argument("folder", type=Path)
    said = parser.parse_args()
    if said.kind == "export":
        export(said.folder)
    else:
        take_turns(contender(said.kind, said.folder))


def contender(kind: str, folder: Path) -> Turn:
    """What it runs in its turns."""
    if kind == "sgemm":
        return work.sgemm()
    if kind == "eager":
        return eager()
    make = foreign.MAKERS.get(kind)
    return make(folder / ONNX, THREADS) if make else ours(folder, kind)


def take_turns(run: Turn) -> None:
    """Answer each line `SECONDS BATCH` with the milliseconds of a turn's runs, all but the first."""
    rng = np.random.default_rng(0)
    for line in sys.stdin:
        seconds, batch = map(int, line.split())
        n_frames = work.n_frames(seconds)
        feats = rng.normal(0.0, 1.0, (batch, n_frames, N_MELS)).astype(np.float32)
        lengths = np.full(batch, n_frames, np.int64)
        print("ms", *_turn(functools.partial(run, feats, lengths)), flush=True)


def _turn(run: Callable[[], object]) -> list[float]:
    """The first run is for the caches, which the others have emptied, and prepares for a shape that is new."""
    run()
    took_ms: list[float] = []
    while sum(took_ms) < TURN_S * 1000:
        began_s = time.perf_counter()
        run()
        took_ms.append((time.perf_counter() - began_s) * 1000)
    return took_ms


def eager() -> Turn:
    """PaddleSpeech's layers, one after another."""
    from tests.reference.answering import keep_pip_out

    keep_pip_out()
    import paddle
    from paddlespeech.s2t.models.u2 import U2Model
    from yacs.config import CfgNode

    shape = settings(NETWORKS["conformer"], [], {}) | {"cmvn_file": ""}
    model: Any = U2Model.from_config(CfgNode(shape, new_allowed=True))
    model.eval()

    def run(feats: Array, lengths: Array) -> object:
        with paddle.no_grad():
            encoded, _ = model._forward_encoder(paddle.to_tensor(feats), paddle.to_tensor(lengths))
            return model.ctc.log_softmax(encoded).numpy()

    return run


def ours(graph_dir: Path, kind: str) -> Turn:
    """The exported graph, and what the search needs of its answer."""
    from model_store.engines.choice import make_engine, preload

    preload()  # as in a worker, before anything else imports Paddle
    from model_store.nets.models import CtcEncoder

    precision = "bf16" if "bf16" in kind else "fp32"
    how: dict[str, Any] = {"precision": precision, "threads": THREADS}
    where = graph_dir / HALVED if kind.endswith(HALVED) else graph_dir
    engine = make_engine("openvino" if "openvino" in kind else "paddle", where, "encoder", CtcEncoder.outputs, **how)
    wanted = ("top_log_probs", "top_ids", "blank_log_probs", "encoded_frames", "encoded")
    return lambda feats, lengths: engine.run({"feats": feats, "lengths": lengths}, wanted)


def export(graph_dir: Path) -> None:
    """A graph of the same size with random weights."""
    from model_store.nets.export import export_graphs
    from model_store.nets.models import build

    about: dict[str, Any] = {"name": "bench", "kind": "asr", "language": "zh", "sample_rate_hz": 16000, "files": {}}
    manifest = Manifest(units=UNITS, encoder=SHAPE, source=Source(layout="bench", files={}), **about)
    export_graphs(build(manifest), graph_dir)
    if can_convert():
        from model_store.engines.openvino import save, save_compressed
        from model_store.importers.conversion import to_onnx

        onnx = to_onnx(graph_dir, "encoder", graph_dir).rename(graph_dir / ONNX)
        halved_dir = graph_dir / HALVED
        halved_dir.mkdir()
        save(onnx, halved_dir, "encoder", is_halved=True)
        save_compressed(halved_dir, graph_dir, "encoder")
        foreign.as_wenet(onnx, UNITS)


if __name__ == "__main__":
    main()

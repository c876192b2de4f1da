"""`python -m tests.bench.loading.plain VERSION_DIR GRAPH_DIR PRECISION CLIP`: a version on plain Paddle predictors.

Two of them, encoder and decoder, each with the configuration as Paddle's users make it, around which stand our own
features and search. Tells when it has imported all, and what making them and the first run of a clip took; for each
line that it is then given it answers that many of `requests`, and tells what it takes of memory.
"""

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, get_args

import msgspec
import numpy as np

from model_store.artifacts.graphs import DECODER, ENCODER, find_record, model_file, params_file
from model_store.artifacts.manifest import UNITS_FILE
from model_store.artifacts.store import read_manifest
from model_store.engines.seam import Array, EnginePrecision, contiguous
from model_store.predictors.asr import AsrPredictor
from model_store.predictors.hypotheses import AsrOptions, Precision
from model_store.predictors.tokens import TokenTable
from model_store.runtime.memory import HighWater, memory_of
from tests.bench.loading.requests import batches
from tests.bench.long.recording import samples_of

THREADS: Final = 2
MARK: Final = "plain "


class Made(msgspec.Struct, frozen=True):
    """Seconds, and the private bytes that the process had before."""

    create_s: float
    first_run_s: float
    imported_bytes: int


class Took(msgspec.Struct, frozen=True):
    """Private bytes: after the requests, and at most."""

    private_bytes: int
    most_bytes: int


class PlainEngine:
    """See `engines.seam.Engine`. No `enable_memory_optim()`: Paddle raises at it, and does that work anyway."""

    def __init__(self, graph_dir: Path, graph: str, outputs: Sequence[str], precision: EnginePrecision) -> None:
        from paddle.inference import Config, create_predictor

        config = Config(str(graph_dir / model_file(graph)), str(graph_dir / params_file(graph)))
        config.disable_glog_info()
        config.set_cpu_math_library_num_threads(THREADS)
        config.enable_mkldnn()
        if precision == "bf16":
            config.enable_mkldnn_bfloat16()
        self._predictor: Any = create_predictor(config)
        self._outputs = dict(zip(outputs, self._predictor.get_output_names(), strict=True))

    def run(self, inputs: Mapping[str, Array], wanted: Sequence[str]) -> dict[str, Array]:
        """See `Engine.run`."""
        for name, array in contiguous(inputs).items():
            handle = self._predictor.get_input_handle(name)
            handle.reshape(array.shape)
            handle.copy_from_cpu(array)
        self._predictor.run()
        return {name: self._predictor.get_output_handle(self._outputs[name]).copy_to_cpu() for name in wanted}


def main() -> None:
    """Make it, and do as it is told."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("version_dir", "graph_dir"):
        parser.add_argument(name, type=Path)
    parser.add_argument("precision", choices=get_args(Precision))
    parser.add_argument("clip", type=Path)
    said = parser.parse_args()
    os.environ["GLOG_minloglevel"] = "3"  # noqa: SIM112  (its name)
    import paddle.inference  # noqa: F401

    high_water = HighWater()
    clip = samples_of(said.clip.read_bytes()).astype(np.float32) / 32768
    imported_bytes, began_s = memory_of(os.getpid()).private_bytes, time.perf_counter()
    predictor = made(said.version_dir, said.graph_dir, said.precision)
    created_s = time.perf_counter()
    predictor.predict([clip], [AsrOptions()])
    _tell(Made(created_s - began_s, time.perf_counter() - created_s, imported_bytes))
    for line in sys.stdin:
        for batch in batches(int(line)):
            predictor.predict(batch, [AsrOptions()] * len(batch))
        _tell(Took(memory_of(os.getpid()).private_bytes, high_water.of_late().private_bytes))


def made(version_dir: Path, graph_dir: Path, precision: Precision) -> AsrPredictor:
    """A recogniser around two plain engines."""
    graphs = find_record(graph_dir).graphs
    encoder, decoder = (PlainEngine(graph_dir, graph, graphs[graph], precision) for graph in (ENCODER, DECODER))
    table = TokenTable.parse((version_dir / UNITS_FILE).read_text("utf-8"))
    return AsrPredictor(read_manifest(version_dir), encoder, decoder, table)


def _tell(what: Made | Took) -> None:
    print(MARK + msgspec.json.encode(what).decode(), flush=True)


if __name__ == "__main__":
    main()

"""A published version and its graphs -> a predictor."""

from pathlib import Path

from model_store.artifacts.files import verify, verifying
from model_store.artifacts.graphs import CLASSIFIER, DECODER, ENCODER, EngineName, find_record
from model_store.artifacts.manifest import UNITS_FILE
from model_store.artifacts.store import read_manifest
from model_store.engines.choice import make_engine
from model_store.errors import ArtifactCorrupt
from model_store.predictors.asr import AsrPredictor
from model_store.predictors.hypotheses import Precision
from model_store.predictors.lid import LidPredictor
from model_store.predictors.predictor import Predictor
from model_store.predictors.tokens import TokenTable


def load(
    version_dir: Path,
    graph_dir: Path,
    *,
    precision: Precision,
    threads: int,
    device: str = "cpu",
    engine: EngineName = "paddle",
) -> Predictor:
    """Load a version onto a device; the digests of all files that are used are checked.

    Raises ArtifactCorrupt when a file is not what was published, LoadFailed when the engine cannot take a graph.
    """
    manifest = read_manifest(version_dir)
    verify(version_dir, {UNITS_FILE: manifest.files[UNITS_FILE]})
    record = find_record(graph_dir)
    if (record.version, record.engine) != (manifest.digest, engine):
        raise ArtifactCorrupt(
            "The graphs were made of or for something else. Run `python -m model_store.importers graph`."
        )
    with verifying(graph_dir, record.files):
        engines = {
            graph: make_engine(engine, graph_dir, graph, outputs, precision=precision, threads=threads, device=device)
            for graph, outputs in record.graphs.items()
        }
    if manifest.kind == "lid":
        return LidPredictor(manifest, engines[CLASSIFIER])
    table = TokenTable.parse((version_dir / UNITS_FILE).read_text("utf-8"))
    return AsrPredictor(manifest, engines[ENCODER], engines.get(DECODER), table)

"""What tests of every kind share: WeNet's golden model, imported once."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

GOLDEN_DIR = Path(__file__).parent / "data" / "wenet" / "u2pp_conformer"


class Golden(NamedTuple):
    """WeNet's own answers for `source`, and where the import of it is."""

    source: Path
    features: list[np.ndarray]
    log_probs: list[np.ndarray]
    answers: dict[str, Any]
    version_dir: Path
    graph_dir: Path


@pytest.fixture(scope="session")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Golden:
    """The golden model, through the importer."""
    from model_store.artifacts.store import ArtifactStore
    from model_store.importers.wenet import ImportRequest, import_wenet

    store = ArtifactStore(tmp_path_factory.mktemp("golden-store"))
    imported = import_wenet(ImportRequest(source=str(GOLDEN_DIR), name="golden", language="zh"), store)
    arrays = np.load(GOLDEN_DIR / "golden.npz")
    return Golden(
        source=GOLDEN_DIR,
        features=[row[:n] for row, n in zip(arrays["feats"], arrays["feat_lens"], strict=True)],
        log_probs=[row[:n] for row, n in zip(arrays["ctc_logprobs"], arrays["encoder_lens"], strict=True)],
        answers=json.loads((GOLDEN_DIR / "golden.json").read_text()),
        version_dir=store.version_dir(imported.version),
        graph_dir=store.graph_dir(imported.version),
    )

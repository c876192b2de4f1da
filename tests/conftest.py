"""What tests of every kind share: WeNet's golden models, each imported once."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

DATA_DIR = Path(__file__).parent / "data" / "wenet"


class Golden(NamedTuple):
    """WeNet's own answers for `source`, and where the import of it is; one array per utterance, without padding."""

    source: Path
    features: list[np.ndarray]
    encoded: list[np.ndarray]
    log_probs: list[np.ndarray]
    answers: dict[str, Any]
    version_dir: Path
    graph_dir: Path


@pytest.fixture(scope="session")
def goldens(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Golden]:
    """Gives a golden model by the name of its directory, through the importer when it is first asked for."""
    from model_store.artifacts.store import ArtifactStore
    from model_store.importers.wenet import ImportRequest, import_wenet

    store = ArtifactStore(tmp_path_factory.mktemp("golden-store"))

    @cache
    def given(name: str) -> Golden:
        source = DATA_DIR / name
        imported = import_wenet(ImportRequest(source=str(source), name="golden", language="zh"), store)
        arrays = np.load(source / "golden.npz")
        return Golden(
            source=source,
            features=[row[:n] for row, n in zip(arrays["feats"], arrays["feat_lens"], strict=True)],
            encoded=[row[:n] for row, n in zip(arrays["encoder_out"], arrays["encoder_lens"], strict=True)],
            log_probs=[row[:n] for row, n in zip(arrays["ctc_logprobs"], arrays["encoder_lens"], strict=True)],
            answers=json.loads((source / "golden.json").read_text()),
            version_dir=store.version_dir(imported.version),
            graph_dir=store.graph_dir(imported.version),
        )

    return given


@pytest.fixture(scope="session")
def golden(goldens: Callable[[str], Golden]) -> Golden:
    """The golden model that most tests take."""
    return goldens("u2pp_conformer")

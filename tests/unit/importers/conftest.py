"""Sources of models, whole and spoilt, and how their import fails."""

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from model_store.artifacts.store import ArtifactStore
from model_store.errors import ImportFailed
from model_store.importers.request import ImportRequest

PADDLESPEECH_DIR = Path(__file__).parents[2] / "data" / "paddlespeech"

Tensors = dict[str, np.ndarray]


@pytest.fixture
def store(golden, tmp_path: Path) -> ArtifactStore:
    """Has the golden model with Paddle's graphs alone."""
    for found in (golden.version_dir, golden.graph_dir):
        shutil.copytree(found, tmp_path / found.relative_to(golden.version_dir.parents[1]))
    return ArtifactStore(tmp_path)


@pytest.fixture
def digest(golden) -> str:
    return golden.version_dir.name


@pytest.fixture
def paddlespeech_copy(tmp_path: Path) -> Callable[..., Path]:
    """Makes a copy of a source in which texts of files are replaced: copy("u2pp", {"model.yaml": (old, new)})."""

    def copy(name: str, changes: dict[str, tuple[str, str]] | None = None) -> Path:
        target = tmp_path / name
        shutil.copytree(PADDLESPEECH_DIR / name, target)
        for file, (old, new) in (changes or {}).items():
            text = (target / file).read_text()
            assert old in text
            (target / file).write_text(text.replace(old, new, 1))
        return target

    return copy


@pytest.fixture
def change_tensors() -> Callable[[Path, Callable[[Tensors], object]], None]:
    """Writes the checkpoint of a source anew, as Paddle would, after a change of its tensors."""

    def change(source: Path, apply: Callable[[Tensors], object]) -> None:
        (path,) = source.rglob("*.pdparams")
        with path.open("rb") as stream:
            tensors = pickle.load(stream)  # noqa: S301 - a file of our own
        del tensors["StructuredToParameterName@@"]
        apply(tensors)
        path.write_bytes(pickle.dumps(tensors, protocol=4))

    return change


@pytest.fixture
def refused(tmp_path: Path) -> Callable[..., str]:
    """Gives the message of a failed import, refused(import_wenet, source); the store is as empty as before then."""

    def message(import_it: Callable[..., object], source: Path, language: str | None = "zh") -> str:
        store = ArtifactStore(tmp_path / "store")
        with pytest.raises(ImportFailed) as refusal:
            import_it(ImportRequest(source=str(source), name="m", language=language), store)
        assert not [path for path in store.root.rglob("*") if path.is_file()]
        assert not list((store.root / "versions").iterdir())
        assert str(tmp_path) not in refusal.value.message
        return refusal.value.message

    return message

"""A source is a directory or an archive, and its layout is told by its files."""

import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from model_store.artifacts.store import ArtifactStore
from model_store.errors import ImportFailed
from model_store.importers.layouts import import_model, recognise
from model_store.importers.process import Order, import_models, make_graphs
from model_store.importers.request import ImportRequest

DATA = Path(__file__).parents[2] / "data"
PADDLESPEECH, WENET = DATA / "paddlespeech" / "u2pp", DATA / "wenet" / "u2_conformer"


def _request(source: Path) -> ImportRequest:
    return ImportRequest(source=str(source), name="m", language="zh")


def _packed(source: Path, path: Path, arcname: str) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        tar.add(source, arcname)
    return path


@pytest.mark.parametrize(("source", "layout"), [(PADDLESPEECH, "paddlespeech"), (WENET, "wenet")])
def test_import_model_from_directory_and_archives_gives_one_version(tmp_path, source, layout):
    store = ArtifactStore(tmp_path / "store")
    sources = [source, *(_packed(source, tmp_path / f"{n}.tar.gz", name) for n, name in enumerate((".", "m_exp")))]
    imported = [import_model(_request(one), store) for one in sources]
    assert {one.layout for one in imported} == {layout}
    assert len({one.version for one in imported}) == 1
    assert not list((store.root / "staging").iterdir())


def test_recognise_directory_of_both_layouts_asks_which_is_meant(tmp_path):
    for name in ("train.yaml", "model.yaml"):
        (tmp_path / name).touch()
    with pytest.raises(ImportFailed, match=r"more than one layout.*wenet.*paddlespeech"):
        recognise(tmp_path)


def test_import_model_of_no_known_layout_says_what_they_look_like(refused, tmp_path):
    (tmp_path / "source").mkdir()
    message = refused(import_model, tmp_path / "source")
    assert "train.yaml" in message
    assert "model.yaml" in message


def test_import_model_of_nothing_is_refused(refused, tmp_path):
    assert "gone is no directory and no archive" in refused(import_model, tmp_path / "gone")


def test_import_model_from_archive_that_fails_leaves_nothing_unpacked(refused, tmp_path, paddlespeech_copy):
    source = paddlespeech_copy("u2pp", {"model.yaml": ("encoder: conformer", "encoder: squeezeformer")})
    archive = _packed(source, tmp_path / "m.tar.gz", ".")
    assert "squeezeformer" in refused(import_model, archive)
    assert not list((tmp_path / "store" / "staging").iterdir())


def test_import_model_from_archive_with_a_way_out_is_refused_by_name(refused, tmp_path):
    archive = _packed(PADDLESPEECH / "model.yaml", tmp_path / "m.tar.gz", "../../model.yaml")
    assert "../../model.yaml" in refused(import_model, archive)
    assert not (tmp_path / "model.yaml").exists()


def test_import_model_of_another_layout_than_was_said_names_the_file_that_it_lacks(tmp_path):
    request = ImportRequest(source=str(PADDLESPEECH), name="m", language="zh", layout="wenet")
    with pytest.raises(ImportFailed, match=r"train\.yaml is missing"):
        import_model(request, ArtifactStore(tmp_path))


def test_importers_command_reads_a_paddlespeech_model(tmp_path):
    arguments = ["paddlespeech", str(PADDLESPEECH), "--store", str(tmp_path), "--name", "m", "--language", "zh"]
    done = subprocess.run(
        [sys.executable, "-m", "model_store.importers", *arguments], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["layout"] == "paddlespeech"


async def test_import_models_of_two_layouts_in_one_batch_gives_their_versions(tmp_path):
    store = ArtifactStore(tmp_path)
    orders = [
        Order(source=str(PADDLESPEECH), name="paddle", language="zh"),
        Order(source=str(WENET), name="torch", language="zh", layout="wenet"),
    ]
    versions = await import_models(orders, store)
    assert [store.manifest(version).source.layout for version in versions] == ["paddlespeech", "wenet"]


async def test_make_graphs_makes_those_that_are_missing_and_passes_over_versions_that_cannot(golden, tmp_path):
    store = ArtifactStore(tmp_path)
    shutil.copytree(golden.version_dir, tmp_path / "versions" / golden.version_dir.name)
    assert not store.has_graph(golden.version_dir.name)
    await make_graphs(["0" * 64, golden.version_dir.name], store)
    assert store.has_graph(golden.version_dir.name)
    assert not store.has_graph("0" * 64)

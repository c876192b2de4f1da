"""Versions are published whole or not at all, and never change."""

import subprocess
import sys
from pathlib import Path

import pytest

from model_store.artifacts.files import describe
from model_store.artifacts.graphs import ENCODER as GRAPH
from model_store.artifacts.graphs import graph_key, model_file, params_file, write_record
from model_store.artifacts.manifest import UNITS_FILE, WEIGHTS_FILE, ConformerShape, Manifest, Source
from model_store.artifacts.store import ArtifactStore, read_manifest
from model_store.errors import ArtifactCorrupt, VersionImmutable

ENCODER = ConformerShape(
    n_mels=80, size=8, heads=2, linear_units=8, blocks=1, subsampling="conv2d", positions="relative",
    activation="swish", conv_kernel=3, conv_norm="layer_norm", is_causal=False, norm_epsilon=1e-5,
    conv_norm_epsilon=1e-5,
)  # fmt: skip


def _fill(staged: Path) -> Manifest:
    (staged / WEIGHTS_FILE).write_bytes(b"weights")
    (staged / UNITS_FILE).write_text("<blank> 0\n")
    return Manifest(
        name="tiny", kind="asr", language="zh", sample_rate_hz=16000, units=1, encoder=ENCODER,
        source=Source(layout="test", files={}),
        files={name: describe(staged / name) for name in (WEIGHTS_FILE, UNITS_FILE)},
    )  # fmt: skip


def _publish(store: ArtifactStore) -> str:
    with store.stage() as stage:
        version = stage / "version"
        version.mkdir()
        return store.publish(version, _fill(version))


def _fill_graph(staged: Path, digest: str, content: bytes = b"graph") -> Path:
    staged.mkdir()
    (staged / model_file(GRAPH)).write_bytes(content)
    (staged / params_file(GRAPH)).write_bytes(b"parameters")
    write_record(staged, digest, {GRAPH: ["log_probs"]})
    return staged


def test_publish_new_version_makes_it_readable_under_its_digest(tmp_path):
    store = ArtifactStore(tmp_path)
    digest = _publish(store)
    assert store.manifest(digest).digest == digest
    assert (store.version_dir(digest) / WEIGHTS_FILE).read_bytes() == b"weights"
    assert list(store.digests()) == [digest]
    assert not list((tmp_path / "staging").iterdir())
    store.verify(digest)


def test_publish_same_version_twice_gives_the_same_digest(tmp_path):
    assert _publish(ArtifactStore(tmp_path)) == _publish(ArtifactStore(tmp_path))
    assert len(list(ArtifactStore(tmp_path).digests())) == 1


def test_publish_over_changed_version_raises_version_immutable(tmp_path):
    store = ArtifactStore(tmp_path)
    weights = store.version_dir(_publish(store)) / WEIGHTS_FILE
    weights.chmod(0o644)
    weights.write_bytes(b"WEIGHTS")
    with pytest.raises(VersionImmutable, match=WEIGHTS_FILE):
        _publish(store)
    assert weights.read_bytes() == b"WEIGHTS"


@pytest.mark.parametrize("damage", ["changed", "missing", "stray"])
def test_publish_files_that_are_not_those_of_the_manifest_publishes_nothing(tmp_path, damage):
    store = ArtifactStore(tmp_path)
    with store.stage() as stage:
        manifest = _fill(stage)
        weights = stage / WEIGHTS_FILE
        {
            "changed": lambda: weights.write_bytes(b"other"),
            "missing": weights.unlink,
            "stray": lambda: (stage / "stray").touch(),
        }[damage]()
        with pytest.raises(ArtifactCorrupt, match="stray" if damage == "stray" else WEIGHTS_FILE):
            store.publish(stage, manifest)
    assert not list(store.digests())
    assert not list((tmp_path / "staging").iterdir())


def test_verify_changed_file_names_it(tmp_path):
    store = ArtifactStore(tmp_path)
    digest = _publish(store)
    units = store.version_dir(digest) / UNITS_FILE
    units.chmod(0o644)
    units.write_text("<blank> 0\na 1\n")
    with pytest.raises(ArtifactCorrupt, match=UNITS_FILE):
        store.verify(digest)


def test_manifest_under_another_digest_raises_artifact_corrupt(tmp_path):
    store = ArtifactStore(tmp_path)
    directory = store.version_dir(_publish(store))
    with pytest.raises(ArtifactCorrupt, match="digest"):
        read_manifest(directory, "0" * 64)


def test_version_dir_of_unknown_version_raises_artifact_corrupt(tmp_path):
    with pytest.raises(ArtifactCorrupt, match="not in the artifact store"):
        ArtifactStore(tmp_path).version_dir("0" * 64)


def test_stage_after_an_error_leaves_nothing(tmp_path):
    store = ArtifactStore(tmp_path)
    with pytest.raises(RuntimeError), store.stage() as stage:
        (stage / "half").write_bytes(b"half")
        raise RuntimeError
    assert not list((tmp_path / "staging").iterdir())


def test_store_opened_after_a_publisher_was_killed_removes_what_it_left(tmp_path):
    script = (
        "import os, sys; from pathlib import Path; from model_store.artifacts.store import ArtifactStore\n"
        "with ArtifactStore(Path(sys.argv[1])).stage() as stage:\n"
        "    (stage / 'half').write_bytes(b'half'); os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False).returncode == -9
    assert len(list((tmp_path / "staging").iterdir())) == 2
    ArtifactStore(tmp_path)
    assert not list((tmp_path / "staging").iterdir())


def test_store_opened_while_another_publishes_leaves_its_work_alone(tmp_path):
    with ArtifactStore(tmp_path).stage() as stage:
        ArtifactStore(tmp_path)
        assert stage.is_dir()


def test_publish_by_several_processes_at_once_succeeds_in_each(tmp_path):
    script = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[2]); import test_store\n"
        "print(test_store._publish(test_store.ArtifactStore(Path(sys.argv[1]))))"
    )
    command = [sys.executable, "-c", script, str(tmp_path), str(Path(__file__).parent)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    digests = {process.communicate()[0].strip() for process in processes}
    assert [process.returncode for process in processes] == [0] * 4
    assert digests == set(ArtifactStore(tmp_path).digests())


def test_publish_graph_is_kept_under_paddle_and_network_revision(tmp_path):
    store = ArtifactStore(tmp_path)
    digest = _publish(store)
    assert not store.has_graph(digest)
    with store.stage() as stage:
        target = store.publish_graph(_fill_graph(stage / "graph", digest), digest)
    assert target == store.graph_dir(digest)
    assert target.name == graph_key()
    assert store.has_graph(digest)


def test_publish_graph_over_a_damaged_one_replaces_it(tmp_path):
    store = ArtifactStore(tmp_path)
    digest = _publish(store)
    for content in (b"first", b"second"):
        with store.stage() as stage:
            store.publish_graph(_fill_graph(stage / "graph", digest, content), digest)
        model = store.graph_dir(digest) / model_file(GRAPH)
        if content == b"first":
            model.chmod(0o644)
            model.write_bytes(b"damaged")
            assert not store.has_graph(digest)
    assert model.read_bytes() == b"second"

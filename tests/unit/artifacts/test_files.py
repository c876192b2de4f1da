"""Digests of files, taken while they are used."""

from pathlib import Path

import pytest

from model_store.artifacts.files import describe, settle, verifying
from model_store.errors import ArtifactCorrupt, LoadFailed


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    file = tmp_path / "weights"
    file.write_bytes(b"as published")
    return file


def test_verifying_files_that_are_right_lets_errors_through(weights: Path) -> None:
    files = {weights.name: describe(weights)}
    with verifying(weights.parent, files):
        pass
    with pytest.raises(LoadFailed), verifying(weights.parent, files):
        raise LoadFailed("It has too few channels.")


def test_verifying_files_that_were_changed_tells_so_whatever_else_went_wrong(weights: Path) -> None:
    files = {weights.name: describe(weights)}
    weights.write_bytes(b"something else")
    with pytest.raises(ArtifactCorrupt, match="weights"), verifying(weights.parent, files):
        pass
    with pytest.raises(ArtifactCorrupt, match="weights"), verifying(weights.parent, files):
        raise LoadFailed("It cannot be read.")


def test_settle_makes_files_read_only_and_leaves_folders_to_be_entered(weights: Path) -> None:
    inner = weights.parent / "folder" / "engine"
    inner.parent.mkdir()
    inner.write_bytes(b"made")
    settle(weights.parent)
    assert [path.stat().st_mode & 0o777 for path in (weights, inner)] == [0o444, 0o444]
    assert inner.parent.stat().st_mode & 0o100

"""Files on disk: their digests, and writing them so that a power cut leaves all or nothing."""

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from model_store.artifacts.manifest import File
from model_store.errors import ArtifactCorrupt

_BLOCK_BYTES = 1 << 20


def describe(path: Path) -> File:
    """The digest and size of the file at `path`."""
    sha256, size_bytes = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            sha256.update(block)
            size_bytes += len(block)
    return File(sha256=sha256.hexdigest(), size_bytes=size_bytes)


def verify(directory: Path, files: Mapping[str, File]) -> None:
    """Raise ArtifactCorrupt naming the first of `files` that is missing from `directory` or has other content."""
    for name, expected in files.items():
        try:
            found = describe(directory / name)
        except OSError as exc:
            raise ArtifactCorrupt(f"File {name} is missing. Import the model again.", file=name) from exc
        if found != expected:
            raise ArtifactCorrupt(f"File {name} is not what was published. Import the model again.", file=name)


@contextlib.contextmanager
def verifying(directory: Path, files: Mapping[str, File]) -> Iterator[None]:
    """`verify` beside what is done with the files meanwhile; what is wrong with them is told before any other error."""
    with ThreadPoolExecutor(1) as pool:
        verified = pool.submit(verify, directory, files)
        try:
            yield
        finally:
            verified.result()


def write_durably(path: Path, content: bytes) -> None:
    """Write a small file and wait until it is on disk."""
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def settle(directory: Path) -> None:
    """Wait until all files in `directory`, and their names, are on disk; the files become read-only."""
    for path in directory.iterdir():
        if path.is_dir():
            settle(path)
            continue
        path.chmod(0o444)
        _sync(path)
    _sync(directory)


def rename_durably(source: Path, target: Path) -> bool:
    """Move a directory in one step; False when something is at `target` already."""
    try:
        source.rename(target)
    except OSError:
        if target.exists():
            return False
        raise
    _sync(target.parent)
    return True


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

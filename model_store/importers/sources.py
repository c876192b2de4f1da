"""Where the files of a foreign model are: in a directory, or in an archive that is unpacked for a while."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from model_store.artifacts.files import describe
from model_store.artifacts.store import ArtifactStore
from model_store.artifacts.unpacking import unpack
from model_store.errors import ImportFailed


@contextmanager
def opened(source: Path, store: ArtifactStore) -> Iterator[Path]:
    """The directory of the model in `source`; what an archive held is gone when the context ends, however it ends."""
    if source.is_dir():
        yield _innermost(source)
        return
    if not source.is_file():
        raise ImportFailed(f"{source.name} is no directory and no archive. Check the source.")
    with store.stage() as stage:
        unpack(source, stage)
        yield _innermost(stage)


def file_of(root: Path, written: str, key: str) -> Path:
    """The file that a configuration writes under `key`, a path relative to the model's directory.

    Where the configuration was written beside that directory, its paths begin with the directory's own name.
    """
    path = PurePosixPath(written)
    if path.is_absolute() or ".." in path.parts:
        raise ImportFailed(f"{key} is {written!r}, which leads outside the model's directory.")
    candidates = [root / path]
    if path.parts[:1] == (root.name,):
        candidates.append(root.joinpath(*path.parts[1:]))
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise ImportFailed(f"{key} is {written!r}, and there is no such file.", file=written)


def needed_file(root: Path, name: str, layout: str) -> Path:
    """The file of that name, which every model in `layout` has."""
    if not (root / name).is_file():
        raise ImportFailed(f"{name} is missing: a model in {layout}'s layout has one.", file=name)
    return root / name


def digests(root: Path, files: Mapping[str, Path]) -> dict[str, str]:
    """The sha256 of each file, by its place in the model's directory."""
    return {path.relative_to(root).as_posix(): describe(path).sha256 for path in files.values()}


def _innermost(directory: Path) -> Path:
    """`directory`, or the only one in it where it holds nothing else: archives are packed both ways."""
    entries = [entry for entry in directory.iterdir() if not entry.name.startswith(".")]
    while len(entries) == 1 and entries[0].is_dir():
        directory = entries[0]
        entries = [entry for entry in directory.iterdir() if not entry.name.startswith(".")]
    return directory

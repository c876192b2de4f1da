"""Archives of models, unpacked so that nothing in them can reach outside the directory or fill the disk."""

import gzip
import io
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Protocol

from model_store.errors import ImportFailed

# The largest archives that PaddleSpeech and WeNet publish unfold to 2 GB and a few dozen files.
MAX_BYTES = 16 << 30
MAX_ENTRIES = 10_000
_BLOCK_BYTES = 1 << 20
# Names and attributes of an entry stand before it and are read at once.
_MAX_HEADER_BYTES = 4 << 20
_GZIP_MAGIC = b"\x1f\x8b"


class _Readable(Protocol):
    def read(self, size: int = ..., /) -> bytes: ...


def unpack(archive: Path, target: Path, *, max_bytes: int = MAX_BYTES, max_entries: int = MAX_ENTRIES) -> None:
    """Write the files of a `.tar` or `.tar.gz` into the empty directory `target`.

    Raises ImportFailed naming the entry that is not a plain file or directory, or that leads outside.
    """
    try:
        with archive.open("rb") as stream:
            is_zipped = stream.read(2) == _GZIP_MAGIC
            stream.seek(0)
            plain: _Readable = gzip.GzipFile(fileobj=stream) if is_zipped else stream
            forward = _Forward(plain, archive.name)
            with tarfile.open(fileobj=forward, mode="r:") as tar:  # type: ignore[call-overload]
                _unpack(tar, archive.name, target, max_bytes, max_entries)
            # The checksum of a compressed archive comes last, behind what tarfile reads.
            forward.seek(forward.tell() + max_bytes)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as exc:
        raise ImportFailed(f"{archive.name} is no whole .tar.gz archive: {exc}.") from exc
    except OSError as exc:
        raise ImportFailed(f"{archive.name} cannot be unpacked: {exc.strerror or exc}.") from exc


def _unpack(tar: tarfile.TarFile, name: str, target: Path, max_bytes: int, max_entries: int) -> None:
    left_bytes = max_bytes
    for count, entry in enumerate(tar, start=1):
        left_bytes -= entry.size
        if count > max_entries or left_bytes < 0 or entry.size < 0:
            limits = f"{max_entries} files and {max_bytes} bytes"
            raise ImportFailed(f"{name}: entry {entry.name!r} passes the limits of {limits}.")
        _unpack_entry(tar, entry, target, name)


def _unpack_entry(tar: tarfile.TarFile, entry: tarfile.TarInfo, target: Path, name: str) -> None:
    path = target.joinpath(*_parts_inside(entry.name, name))
    try:
        if entry.isdir():
            path.mkdir(parents=True, exist_ok=True)
        elif entry.isreg() and not entry.issparse():
            path.parent.mkdir(parents=True, exist_ok=True)
            _copy(tar, entry, path)
        else:
            raise ImportFailed(f"{name}: entry {entry.name!r} is a link or a device, not a file.")
    except (FileExistsError, NotADirectoryError) as exc:
        raise ImportFailed(f"{name}: entry {entry.name!r} is there twice.") from exc


def _parts_inside(entry_name: str, archive_name: str) -> tuple[str, ...]:
    path = PurePosixPath(entry_name)
    if path.is_absolute() or ".." in path.parts or "\0" in entry_name:
        raise ImportFailed(f"{archive_name}: entry {entry_name!r} leads outside the archive.")
    return path.parts


def _copy(tar: tarfile.TarFile, entry: tarfile.TarInfo, path: Path) -> None:
    with path.open("xb") as copy, tar.extractfile(entry) or io.BytesIO() as content:
        while block := content.read(_BLOCK_BYTES):
            copy.write(block)


class _Forward:
    """A stream that is read once from start to end, as tarfile needs it: it looks one byte back, never further.

    So a compressed archive is never unfolded twice; and a header is never read that claims to be huge.
    """

    def __init__(self, stream: _Readable, name: str) -> None:
        self._stream, self._name = stream, name
        self._position = 0
        self._last = b""
        self._is_back = False

    def tell(self) -> int:
        """Where the next read starts."""
        return self._position - self._is_back

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer at the end."""
        if not 0 <= size <= _MAX_HEADER_BYTES:
            raise ImportFailed(f"{self._name}: a header claims {size} bytes.")
        again = self._last if self._is_back and size else b""
        self._is_back = self._is_back and not size
        fresh = self._stream.read(size - len(again))
        self._position += len(fresh)
        self._last = fresh[-1:] or self._last
        return again + fresh

    def seek(self, position: int) -> None:
        """Go on to `position`, or back by one."""
        if position == self._position - 1 and self._last:
            self._is_back = True
            return
        if position < self.tell():
            raise ImportFailed(f"{self._name}: an entry refers to an earlier one.")
        while (missing := position - self.tell()) and self.read(min(missing, _BLOCK_BYTES)):
            pass

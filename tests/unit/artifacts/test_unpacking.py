"""Archives unfold inside their directory, or not at all."""

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from model_store.artifacts.unpacking import unpack
from model_store.errors import ImportFailed


def _file(tar: tarfile.TarFile, name: str, content: bytes = b"content") -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def _special(tar: tarfile.TarFile, name: str, kind: bytes, target: str = "") -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    tar.addfile(entry)


def _archive(path: Path, fill: Callable[[tarfile.TarFile], None], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as tar:
        fill(tar)
    return path


def _refused(archive: Path, target: Path, **limits: int) -> str:
    target.mkdir()
    with pytest.raises(ImportFailed) as refusal:
        unpack(archive, target, **limits)
    return refusal.value.message


@pytest.mark.parametrize("mode", ["w:gz", "w"])
@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_unpack_whole_archive_writes_every_file(tmp_path, mode, form):
    # Sizes around the blocks of 512 bytes, and a long name, which has a header of its own.
    contents = {f"data/{size}": bytes([size % 251]) * size for size in (0, 1, 511, 512, 513, 1024, 3_000_000)}
    if form != tarfile.USTAR_FORMAT:
        contents[f"{'深' * 60}/vocab.txt"] = b"long"
    source = tmp_path / "m.tar.gz"
    with tarfile.open(source, mode, format=form) as tar:
        _special(tar, "./exp", tarfile.DIRTYPE)
        for name, content in contents.items():
            _file(tar, f"./{name}", content)
    target = tmp_path / "out"
    target.mkdir()
    unpack(source, target)
    found = {path.relative_to(target).as_posix(): path.read_bytes() for path in target.rglob("*") if path.is_file()}
    assert found == contents
    assert (target / "exp").is_dir()


@pytest.mark.parametrize("name", ["/etc/model.yaml", "../model.yaml", "data/../../model.yaml", "data/.."])
def test_unpack_entry_that_leads_outside_is_refused_by_name(tmp_path, name):
    archive = _archive(tmp_path / "m.tar.gz", lambda tar: _file(tar, name))
    assert repr(name) in _refused(archive, tmp_path / "out")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["m.tar.gz"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_unpack_link_or_device_is_refused_by_name(tmp_path, kind):
    archive = _archive(tmp_path / "m.tar.gz", lambda tar: _special(tar, "model.yaml", kind, "/etc/passwd"))
    assert "entry 'model.yaml' is a link or a device" in _refused(archive, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_unpack_write_through_a_link_is_refused(tmp_path):
    def fill(tar: tarfile.TarFile) -> None:
        _special(tar, "data", tarfile.SYMTYPE, str(tmp_path))
        _file(tar, "data/planted")

    assert "'data'" in _refused(_archive(tmp_path / "m.tar.gz", fill), tmp_path / "out")
    assert not (tmp_path / "planted").exists()


@pytest.mark.parametrize("second", ["model.yaml", "./model.yaml", "model.yaml/inside"])
def test_unpack_entry_over_another_is_refused_by_name(tmp_path, second):
    def fill(tar: tarfile.TarFile) -> None:
        _file(tar, "model.yaml")
        _file(tar, second)

    assert repr(second) in _refused(_archive(tmp_path / "m.tar.gz", fill), tmp_path / "out")


def test_unpack_more_bytes_than_the_limit_is_refused_before_they_are_written(tmp_path):
    def fill(tar: tarfile.TarFile) -> None:
        _file(tar, "small", bytes(1000))
        _file(tar, "zeros", bytes(50_000_000))

    archive = _archive(tmp_path / "m.tar.gz", fill)
    assert archive.stat().st_size < 100_000
    assert "'zeros'" in _refused(archive, tmp_path / "out", max_bytes=1_000_000)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["small"]


def test_unpack_more_entries_than_the_limit_is_refused(tmp_path):
    archive = _archive(tmp_path / "m.tar.gz", lambda tar: [_file(tar, str(n)) for n in range(6)] and None)
    assert "'5'" in _refused(archive, tmp_path / "out", max_entries=5)


def test_unpack_sparse_file_is_refused(tmp_path):
    # One block in the archive that claims to be ten gigabytes on disk.
    entry = tarfile.TarInfo("final.pt")
    entry.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(entry.tobuf(tarfile.GNU_FORMAT))
    header[483:495] = b"112402762000"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    path = tmp_path / "m.tar"
    path.write_bytes(bytes(header) + bytes(1024))
    assert "final.pt" in _refused(path, tmp_path / "out")


def test_unpack_header_that_claims_to_be_huge_is_refused(tmp_path):
    # The names of an entry are read at once: a gigabyte of them would be a gigabyte of memory.
    entry = tarfile.TarInfo("././@PaxHeader")
    entry.type, entry.size = tarfile.XHDTYPE, 1 << 30
    with gzip.open(tmp_path / "m.tar.gz", "wb", compresslevel=1) as stream:
        stream.write(entry.tobuf(tarfile.USTAR_FORMAT))
        stream.write(bytes(8 << 20))
    assert "a header claims" in _refused(tmp_path / "m.tar.gz", tmp_path / "out")


def _cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _spoilt(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + b"\xff\x00\xff\x00" + content[middle + 4 :]


@pytest.mark.parametrize("spoil", [_cut, _spoilt, lambda _: b"", lambda _: b"no archive" * 100, lambda _: b"\x1f\x8b"])
def test_unpack_archive_that_is_not_whole_is_refused(tmp_path, spoil):
    noise = bytes(n * n % 251 for n in range(20_000))
    archive = _archive(tmp_path / "m.tar.gz", lambda tar: _file(tar, "final.pt", noise))
    archive.write_bytes(spoil(archive.read_bytes()))
    assert "m.tar.gz" in _refused(archive, tmp_path / "out")


def test_unpack_plain_archive_cut_in_a_file_is_refused(tmp_path):
    archive = _archive(tmp_path / "m.tar", lambda tar: _file(tar, "final.pt", bytes(20_000)), mode="w")
    archive.write_bytes(archive.read_bytes()[:5_000])
    assert "m.tar" in _refused(archive, tmp_path / "out")

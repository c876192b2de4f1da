"""The figures that workers are charged by, against psutil and against memory of known size."""

import mmap
import os
import subprocess
import sys
from pathlib import Path

import psutil

from model_store.runtime.memory import HighWater, Memory, memory_of

MIB = 2**20


def test_memory_of_this_process_is_what_psutil_sees() -> None:
    told, seen = memory_of(os.getpid()), psutil.Process().memory_full_info()
    # The unique set size counts pages of files too, as long as nobody else has mapped them.
    assert told.private_bytes <= seen.uss <= told.private_bytes + told.mapped_bytes
    assert told.private_bytes + told.mapped_bytes <= seen.rss + MIB


def test_memory_of_a_mapping_grows_by_what_is_written_and_not_by_what_is_only_mapped() -> None:
    before = memory_of(os.getpid()).private_bytes
    with mmap.mmap(-1, 64 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        mapped = memory_of(os.getpid()).private_bytes
        for at in range(0, 32 * MIB, mmap.PAGESIZE):
            memory[at] = 1
        written = memory_of(os.getpid()).private_bytes
    assert mapped - before < MIB
    assert abs(written - before - 32 * MIB) < 3 * MIB


def test_memory_of_a_file_that_nobody_else_maps_is_mapped_and_not_private(tmp_path: Path) -> None:
    file = tmp_path / "library"
    with file.open("wb") as written:
        written.write(b"\1" * (32 * MIB))
        os.fsync(written.fileno())  # or its pages were dirty
    before = memory_of(os.getpid())
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ) as library:
        assert sum(library[:: mmap.PAGESIZE]) == 32 * MIB // mmap.PAGESIZE
        after = memory_of(os.getpid())
    assert after.mapped_bytes - before.mapped_bytes > 31 * MIB
    assert after.private_bytes - before.private_bytes < 3 * MIB


def test_memory_of_pages_shared_with_a_child_counts_for_neither() -> None:
    with mmap.mmap(-1, 32 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.write(b"\1" * len(memory))
        alone = memory_of(os.getpid()).private_bytes
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(write)
            os.read(read, 1)  # until the parent has looked
            os._exit(0)
        os.close(read)
        shared = memory_of(os.getpid()).private_bytes
        childs = memory_of(child).private_bytes
        os.close(write)
        os.waitpid(child, 0)
    assert alone - shared > 30 * MIB
    assert childs < 16 * MIB


def test_memory_of_a_process_that_has_ended_is_none() -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    assert memory_of(done.pid) == Memory(0, 0)


def test_high_water_is_what_was_taken_and_given_back_since_the_last_reading() -> None:
    HighWater().of_late()  # what this process took before it is not of late
    water = HighWater()
    water.of_late()
    assert not water.has_risen()
    with mmap.mmap(-1, 64 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        for at in range(0, 64 * MIB, mmap.PAGESIZE):
            memory[at] = 1
    assert water.has_risen()
    peak, after = water.of_late(), water.of_late()
    assert 60 * MIB < peak.private_bytes - after.private_bytes < 80 * MIB
    assert not water.has_risen()

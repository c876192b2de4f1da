"""The figure that workers are charged by, against psutil and against memory of known size."""

import mmap
import os
import subprocess
import sys

import psutil
import pytest

from model_store.runtime.memory import private_bytes

MIB = 2**20


def test_private_bytes_of_this_process_are_psutils_unique_set_size() -> None:
    assert private_bytes(os.getpid()) == pytest.approx(psutil.Process().memory_full_info().uss, rel=0.01)


def test_private_bytes_grow_by_what_is_written_and_not_by_what_is_only_mapped() -> None:
    before = private_bytes(os.getpid())
    with mmap.mmap(-1, 64 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        mapped = private_bytes(os.getpid())
        for at in range(0, 32 * MIB, mmap.PAGESIZE):
            memory[at] = 1
        written = private_bytes(os.getpid())
    assert mapped - before < MIB
    assert written - before == pytest.approx(32 * MIB, abs=3 * MIB)


def test_private_bytes_of_pages_shared_with_a_child_count_for_neither() -> None:
    with mmap.mmap(-1, 32 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.write(b"\1" * len(memory))
        alone = private_bytes(os.getpid())
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(write)
            os.read(read, 1)  # until the parent has looked
            os._exit(0)
        os.close(read)
        shared = private_bytes(os.getpid())
        childs = private_bytes(child)
        os.close(write)
        os.waitpid(child, 0)
    assert alone - shared > 30 * MIB
    assert childs < 16 * MIB


def test_private_bytes_of_a_process_that_has_ended_are_none() -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    assert private_bytes(done.pid) == 0

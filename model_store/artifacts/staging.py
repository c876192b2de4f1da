"""Directories in which something is prepared before it is published.

A directory belongs to whoever holds the lock on its lock file. The kernel gives the lock up when the holder dies,
however it dies, so whoever comes next can tell litter from work in progress without guessing by age.
"""

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOCK_SUFFIX = ".lock"


@contextmanager
def staging_dir(root: Path) -> Iterator[Path]:
    """A fresh directory under `root`; what is still in it at the end is removed, and so is what the dead left."""
    root.mkdir(parents=True, exist_ok=True)
    clean(root)
    lock, descriptor = _lock_fresh(root)
    directory = lock.with_suffix("")
    try:
        directory.mkdir()
        yield directory
    finally:
        _remove(lock)
        os.close(descriptor)


def clean(root: Path) -> None:
    """Remove the directories under `root` whose owner is gone."""
    for lock in root.glob(f"*{_LOCK_SUFFIX}"):
        descriptor = _try_lock(lock)
        if descriptor is not None:
            _remove(lock)
            os.close(descriptor)


def _lock_fresh(root: Path) -> tuple[Path, int]:
    while True:
        lock = root / f"{uuid.uuid4().hex}{_LOCK_SUFFIX}"
        lock.touch()
        descriptor = _try_lock(lock)
        # Between the two lines above another process may have taken the file for litter and removed it.
        if descriptor is not None and lock.exists():
            return lock, descriptor
        if descriptor is not None:
            os.close(descriptor)


def _try_lock(lock: Path) -> int | None:
    try:
        descriptor = os.open(lock, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _remove(lock: Path) -> None:
    # The directory goes first: a lock file without a directory is swept later, the reverse never.
    shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
    lock.unlink(missing_ok=True)

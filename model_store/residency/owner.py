"""Exactly one residency owner per machine and data directory, held by a lock that dies with its process."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from model_store.errors import EditConflict

LOCK_FILE = "owner.lock"


@contextlib.contextmanager
def ownership(data_dir: Path) -> Iterator[None]:
    """Hold the lock; raises EditConflict naming the process that holds it already."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / LOCK_FILE).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            hint = "Use it over its address, stop it, or give this one another `server.data_dir`."
            raise EditConflict(f"A gateway (process {holder}) already runs on this data directory. {hint}") from exc
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def is_owned(data_dir: Path) -> bool:
    """Whether some process owns this data directory now."""
    try:
        with (data_dir / LOCK_FILE).open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False

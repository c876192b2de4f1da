"""What a process costs in host memory, read from the kernel."""

import os
from pathlib import Path
from typing import NamedTuple

_KIB = 1024
_CLEARLY = 4 * 2**20


class Memory(NamedTuple):
    """Resident bytes of a process.

    `private_bytes` it has written and shares with nobody: they are what the machine gets back when it ends.
    `mapped_bytes` are pages of files, libraries above all: whoever maps a file shares them, so they count once for
    all workers. Which of them a single process happens to have to itself changes with every worker that comes or goes,
    and so a unique set size, which counts those too, cannot be added up.
    """

    private_bytes: int
    mapped_bytes: int


def memory_of(pid: int) -> Memory:
    """Nothing once the process has ended. Anonymous pages that it still shares with the fork server are in neither."""
    sizes = _sizes(pid)
    return Memory(sizes.get("Private_Dirty", 0), sizes.get("Rss", 0) - sizes.get("Anonymous", 0))


class HighWater:
    """What this process takes at most: a run is over between two readings, and takes more than it leaves.

    The kernel keeps the most resident bytes. Of these, what is shared now was shared then too, and the rest private.
    (Not: what is private now, and by how much more was resident. A run that ends between the two would count twice.)
    """

    def __init__(self) -> None:
        """Nothing has been told."""
        self._told_bytes = 0

    def of_late(self) -> Memory:
        """Its memory; the private bytes are the most that they were since the last call."""
        sizes = _sizes(os.getpid())
        most = _most_resident_bytes()
        Path("/proc/self/clear_refs").write_text("5")  # from here on it counts anew
        self._told_bytes = max(self._told_bytes, most)
        shared = sizes["Rss"] - sizes["Private_Dirty"]
        return Memory(max(sizes["Private_Dirty"], most - shared), sizes["Rss"] - sizes["Anonymous"])

    def has_risen(self) -> bool:
        """Whether clearly more was resident than `of_late` ever told; this takes no milliseconds, as that does."""
        return _most_resident_bytes() > self._told_bytes + _CLEARLY


def _sizes(pid: int) -> dict[str, int]:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return {}
    fields = (line.split() for line in rollup.splitlines()[1:])
    return {words[0].rstrip(":"): int(words[1]) * _KIB for words in fields}


def _most_resident_bytes() -> int:
    _, _, tail = Path("/proc/self/status").read_bytes().partition(b"VmHWM:")
    return int(tail[: tail.index(b"kB")]) * _KIB

"""What a process costs in host memory, read from the kernel."""

import os
from pathlib import Path
from typing import NamedTuple

_KIB = 1024


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
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return Memory(0, 0)
    fields = (line.split() for line in rollup.splitlines()[1:])
    sizes = {words[0].rstrip(":"): int(words[1]) * _KIB for words in fields}
    return Memory(sizes.get("Private_Dirty", 0), sizes.get("Rss", 0) - sizes.get("Anonymous", 0))


class HighWater:
    """What this process takes at most: a run is over between two readings, and takes more than it leaves.

    The kernel keeps the most resident bytes; what these were beyond those of now was private.
    """

    def __init__(self) -> None:
        """Nothing has been told."""
        self._told_bytes = 0

    def of_late(self) -> Memory:
        """Its memory; the private bytes are the most that they were since the last call."""
        now = memory_of(os.getpid())
        most, resident = _resident_bytes()
        Path("/proc/self/clear_refs").write_text("5")  # from here on it counts anew
        self._told_bytes = max(self._told_bytes, most)
        return now._replace(private_bytes=now.private_bytes + max(0, most - resident))

    def has_risen(self) -> bool:
        """Whether more was resident than `of_late` has ever told; quicker than asking that."""
        return _resident_bytes()[0] > self._told_bytes


def _resident_bytes() -> tuple[int, int]:
    """The most since it counts, and now."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    most, now = (int(fields[name].split()[0]) * _KIB for name in ("VmHWM", "VmRSS"))
    return most, now

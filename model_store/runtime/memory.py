"""What a process costs in host memory, read from the kernel."""

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

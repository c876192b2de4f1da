"""What a process costs in host memory, read from the kernel."""

from pathlib import Path

_KIB = 1024


def private_bytes(pid: int) -> int:
    """The unique set size of a process: what the machine gets back when it ends; 0 once it has ended.

    Pages that a worker still shares with the fork server are not in it, nor are files that others have mapped too.
    """
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
    fields = (line.split() for line in rollup.splitlines() if line.startswith("Private_"))
    return sum(int(words[1]) * _KIB for words in fields)

"""The machine that a figure was measured on."""

import platform
from pathlib import Path

import psutil

# Idle threads of one process spin for a while and would slow down the next.
PAUSE_S = 0.3


def machine() -> str:
    """In words: cores, processor, memory and Python."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    model = next(names, "a processor that does not say its name")
    gib = psutil.virtual_memory().total / 2**30
    return f"{psutil.cpu_count()} cores of {model}, {gib:.0f} GiB, Python {platform.python_version()}"

"""The machine that a figure was measured on, in words."""

import platform
from pathlib import Path

import psutil

_MAKERS = ("AMD", "Intel", "ARM")


def machine() -> str:
    """Cores, processor, memory and Python."""
    names = (line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines())
    model = next((name for name in names if any(maker in name for maker in _MAKERS)), "a processor")
    gib = psutil.virtual_memory().total / 2**30
    return f"{psutil.cpu_count()} cores of {model}, {gib:.0f} GiB, Python {platform.python_version()}"

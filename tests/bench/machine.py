"""The machine that a figure was measured on, in words."""

import platform
from pathlib import Path

import psutil


def machine() -> str:
    """Cores, processor, memory and Python."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    model = next(names, "a processor that does not say its name")
    gib = psutil.virtual_memory().total / 2**30
    return f"{psutil.cpu_count()} cores of {model}, {gib:.0f} GiB, Python {platform.python_version()}"

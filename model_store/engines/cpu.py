"""What this machine's processor can do."""

from functools import cache
from pathlib import Path
from typing import Literal

_BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
_CPUINFO = Path("/proc/cpuinfo")


def has_bf16(cpuinfo: str) -> bool:
    """Whether the text of /proc/cpuinfo names an instruction set for bfloat16 products."""
    for line in cpuinfo.splitlines():
        key, _, flags = line.partition(":")
        if key.strip() == "flags":
            return not _BF16_FLAGS.isdisjoint(flags.split())
    return False


@cache
def is_bf16_processor() -> bool:
    """Whether this processor multiplies bfloat16 itself; False where /proc/cpuinfo cannot be read."""
    try:
        return has_bf16(_CPUINFO.read_text())
    except OSError:
        return False


def best_cpu_precision() -> Literal["fp32", "bf16"]:
    """The fastest precision that this processor runs without emulating it."""
    return "bf16" if is_bf16_processor() else "fp32"

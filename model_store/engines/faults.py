"""What a framework's exception means: memory ran out, or the device has failed this process for good, or neither."""

import re
from typing import Final

from model_store.errors import DeviceMemoryExhausted, InternalError, VoxgateError

_EXHAUSTED: Final = re.compile(r"out of memory|ResourceExhausted|bad_alloc", re.IGNORECASE)
_CUDA: Final = re.compile(r"CUDA error\s*\(\s*(\d+)\s*\)", re.IGNORECASE)
_TELLING: Final = re.compile(r"Error|error\(|Out of memory|ResourceExhausted")
# After these CUDA's own reference says of its error codes: any further work returns the same error, and to go on the
# process must be terminated and launched anew. 77 is what CUDA before 10.1 called 700.
_STICKY: Final = frozenset({77, 700, 702, 710, 714, 715, 716, 717, 718, 719})


class DeviceFault(Exception):
    """The device does no more work for this process, which has to end; no error of the tree, as it never leaves it."""


def as_error(exc: Exception, kind: type[InternalError], told: str) -> VoxgateError:
    """The error of the tree that `exc` means: of `kind`, or DeviceMemoryExhausted; `told` is what could not be done.

    Raises DeviceFault where only another process can go on.
    """
    if (found := _CUDA.search(str(exc))) and int(found.group(1)) in _STICKY:
        raise DeviceFault(f"{told}: {telling_line(exc)}") from exc
    if isinstance(exc, MemoryError) or _EXHAUSTED.search(str(exc)):
        return DeviceMemoryExhausted(f"Memory ran out. {told}: {telling_line(exc)}")
    return kind(f"{told}: {telling_line(exc)}")


def telling_line(exc: Exception) -> str:
    """Of Paddle's messages the line that matters: a C++ stack stands before it, hints in brackets behind."""
    lines = [line for part in str(exc).splitlines() if (line := part.strip()) and not line.startswith("[")]
    telling = [line for line in lines if _TELLING.search(line)] or lines or [type(exc).__name__]
    return telling[-1][:300]

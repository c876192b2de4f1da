"""The C heap of a process that runs a network: what runs have freed goes back to the system now and then."""

import ctypes
import time
from collections.abc import Callable


def trim() -> bool:
    """Give freed pages back to the system; False where the C library is not glibc, or nothing was free."""
    try:
        return bool(ctypes.CDLL(None).malloc_trim(0))
    except AttributeError:
        return False


class Trimmer:
    """Trims at most once per `interval_s`.

    glibc keeps what runs of different shapes leave scattered over its heaps, and a worker is charged its private
    bytes. Trimming after every run, or through lower thresholds, costs a quarter of a long run in page faults; every
    few seconds it costs nothing that can be measured.
    """

    def __init__(self, interval_s: float = 2.0, clock: Callable[[], float] = time.monotonic) -> None:
        """The first trim is due one interval from now."""
        self._interval_s = interval_s
        self._clock = clock
        self._due_s = clock() + interval_s

    def after_run(self) -> bool:
        """Trim when it is due; returns whether it was."""
        now_s = self._clock()
        if now_s < self._due_s:
            return False
        self._due_s = now_s + self._interval_s
        trim()
        return True

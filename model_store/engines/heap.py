"""The C heap of a process that runs a network: what runs have freed goes back to the system now and then."""

import ctypes
import math
import time
from collections.abc import Callable


def trim() -> bool:
    """Give freed pages back to the system; False where the C library is not glibc, or nothing was free."""
    try:
        return bool(ctypes.CDLL(None).malloc_trim(0))
    except AttributeError:
        return False


class Trimmer:
    """Trims `after_s` after the first run that followed the last trim.

    glibc keeps what runs of different shapes leave scattered over its heaps, and a worker is charged its private
    bytes. But the run after a trim pays for its pages again, a tenth to a quarter of its time: so not after each.
    """

    def __init__(self, after_s: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing has run yet."""
        self._after_s = after_s
        self._clock = clock
        self._due_s = math.inf

    def has_run(self) -> None:
        """There may be something to give back."""
        self._due_s = min(self._due_s, self._clock() + self._after_s)

    def look(self) -> bool:
        """Trim when it is due, in whichever thread this is; returns whether it was."""
        if self._clock() < self._due_s:
            return False
        self._due_s = math.inf
        trim()
        return True

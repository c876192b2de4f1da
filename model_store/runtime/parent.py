"""The end of a process together with the one that started it, also before it listens to anybody."""

import ctypes
import os
import signal
from typing import Final

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


def end_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends, however that ends; what it forks does not inherit this.

    `parent` is the process id that the parent gave for itself. Importing paddle takes seconds, in which a closed
    socket is seen by nobody.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it had ended before the kernel was asked
        os._exit(0)

"""Numba, as the search uses it."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numba

P = ParamSpec("P")
R = TypeVar("R")


def compiled(signature: Any) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Compile a function for one signature when its module is imported, and keep the result on disk.

    So a request never waits for the compiler; the first import after an installation takes some seconds instead. The
    compiled function runs without the GIL.
    """
    decorate: Callable[[Callable[P, R]], Callable[P, R]] = numba.njit(signature, cache=True, nogil=True)
    return decorate

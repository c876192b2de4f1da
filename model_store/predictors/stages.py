"""How long each stage of a prediction takes."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STAGES = ("features", "encoder", "search", "rescoring")


class Stopwatch:
    """Adds up the seconds spent in each stage."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        """All stages start at zero, so that each is named even when it was never entered."""
        self._clock = clock
        self.seconds = dict.fromkeys(STAGES, 0.0)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what happens inside towards the stage."""
        started_s = self._clock()
        try:
            yield
        finally:
            self.seconds[name] += self._clock() - started_s

"""How long a batch takes, as a*n + b, n its seconds of audio with padding: fitted to the batches measured of late.

Everything that dispatch decides about sizes and delays it reads off this curve. The fit is Theil's and Sen's: a is the
median of the slopes between pairs of batches, so that up to a quarter of them may be off, such as one that found the
machine busy.
"""

import math
from collections import deque
from typing import Final

import numpy as np

_KEPT = 50
_MIN_PAIRS = 10
# A line says little of what lies far beyond the points that it was drawn through.
_FARTHEST = 2.0
# Before anything is measured: about a full-size network on two cores of a CPU.
_PER_SECOND: Final = 0.05
_FIXED_S: Final = 0.05


class Curve:
    """What a version's batches take on one kind of place."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque(maxlen=_KEPT)
        self._is_stale = False
        self._per_second, self._fixed_s = _PER_SECOND, _FIXED_S

    @property
    def is_measured(self) -> bool:
        """Whether it says more than a guess."""
        return bool(self._seen)

    @property
    def per_second(self) -> float:
        """a: seconds of compute per second of audio."""
        self._fit()
        return self._per_second

    @property
    def fixed_s(self) -> float:
        """b: what an empty batch would take."""
        self._fit()
        return self._fixed_s

    def add(self, padded_s: float, seconds: float) -> None:
        """A batch was measured."""
        self._seen.append((max(padded_s, 1e-3), max(seconds, 1e-6)))
        self._is_stale = True

    def predicted_s(self, padded_s: float) -> float:
        """What a batch will take."""
        return self.per_second * padded_s + self.fixed_s

    def holds_s(self, seconds: float) -> float:
        """The audio that is computed in `seconds`, in one batch."""
        return math.inf if self.per_second == 0 else max(0.0, seconds - self.fixed_s) / self.per_second

    def preferred_s(self, fixed_share: float) -> float:
        """The audio of a batch of which that share is its fixed cost: a bigger one cannot save more than it."""
        farthest_s = _FARTHEST * max((padded_s for padded_s, _ in self._seen), default=math.inf)
        return min(farthest_s, self._over(self.fixed_s * (1 / fixed_share - 1)))

    def quickest_s(self, waiting_s: float) -> float:
        """The audio per batch that gets through `waiting_s` with the shortest wait in the mean.

        Batches of n take Q/n * (a*n + b) in all, of which the mean job waits half, and then for its own batch: the sum
        is least at n = sqrt(Q*b/a). Of sizes about as good the larger, which leaves more of the worker.
        """
        return self._over(math.sqrt(2 * waiting_s * self.per_second * self.fixed_s))

    @property
    def worth_s(self) -> float:
        """The padding that a job may bring into a batch: more costs more than a batch of its own."""
        return self._over(self.fixed_s)

    def _over(self, seconds: float) -> float:
        return math.inf if self.per_second == 0 else seconds / self.per_second

    def _fit(self) -> None:
        if not self._is_stale:
            return
        self._is_stale = False
        x, y = np.array(self._seen).T
        most = float(np.median(y / x))  # what a second costs when nothing is fixed
        dx, dy = (values[:, None] - values[None, :] for values in (x, y))
        slopes = (dy / np.where(dx > 0, dx, 1))[dx > 0.2 * np.median(x)]
        # Batches of one length do not tell the two apart: half and half makes dispatch try other sizes.
        slope = float(np.median(slopes)) if len(slopes) >= _MIN_PAIRS else most / 2
        self._per_second = min(max(slope, 0.0), most)
        self._fixed_s = max(0.0, float(np.median(y - self._per_second * x)))

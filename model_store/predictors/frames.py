"""What the encoder's graph says of one clip of a batch."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from model_store.errors import PredictFailed
from model_store.predictors.compiled import compiled

Array = npt.NDArray[Any]

_FLOATS = types.Array(types.float32, 2, "C", readonly=True)


class Frames:
    """The frames of one clip, without the padding of its batch; see artifacts/graphs.py for the outputs."""

    def __init__(self, outputs: Mapping[str, Array], row: int) -> None:
        """Take a row of the outputs of a run; log_probs and encoded may be missing. Raises PredictFailed."""
        n_frames = int(outputs["encoded_frames"][row])
        of_clip = {name: array[row, :n_frames] for name, array in outputs.items() if array.ndim > 1}
        self.blank = of_clip["blank_log_probs"]
        self._log_probs, self._ids = of_clip["top_log_probs"], of_clip["top_ids"]
        self._all = of_clip.get("log_probs")
        self._encoded = of_clip.get("encoded")
        if not np.isfinite(self._log_probs).all():
            raise PredictFailed("The network's answer is not finite. Load the version in fp32, or import it again.")

    @property
    def encoded(self) -> Array:
        """What the encoder made of each frame, (T', size); asked of the run."""
        assert self._encoded is not None  # noqa: S101  (see `AsrPredictor._wanted`)
        return self._encoded

    def best(self, n: int) -> tuple[Array, Array]:
        """At least the `n` best log-probabilities of each frame and their units, (T', K), best first.

        As the graph chose them, or out of all of them where the graph gives fewer; there are no more than units.
        """
        if self._all is None or n <= self._ids.shape[1]:
            return self._log_probs, self._ids
        log_probs, ids = _best(np.ascontiguousarray(self._all), min(n, self._all.shape[1]))
        return log_probs, ids


@compiled(types.Tuple((types.float32[:, ::1], types.int32[:, ::1]))(_FLOATS, types.int64))
def _best(log_probs: Array, n: int) -> tuple[Array, Array]:
    """The `n` best of each row and where they are, best first; each falls into its place among those before it."""
    best = np.empty((len(log_probs), n), np.float32)
    ids = np.empty((len(log_probs), n), np.int32)
    for t in range(len(log_probs)):
        for unit in range(log_probs.shape[1]):
            log_prob, place = log_probs[t, unit], min(unit, n)
            if place == n and log_prob <= best[t, n - 1]:
                continue
            place = min(place, n - 1)
            while place > 0 and best[t, place - 1] < log_prob:
                best[t, place], ids[t, place] = best[t, place - 1], ids[t, place - 1]
                place -= 1
            best[t, place], ids[t, place] = log_prob, unit
    return best, ids

"""What every predictor does: audio in, outcomes out, and how long each stage took."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from model_store.artifacts.manifest import Manifest
from model_store.predictors.hypotheses import Options, Outcome

FloatArray = npt.NDArray[np.float32]

# Of all audio that predictors are given. A model that was trained at another rate gets it resampled, in `features`.
PCM_RATE_HZ = 16_000


class Prediction(Struct, frozen=True):
    """One outcome per item of a batch, in its order; `stages_s` has a key for every stage in `stages.STAGES`."""

    outcomes: list[Outcome]
    stages_s: dict[str, float]


class Predictor(Protocol):
    """A loaded version. One thread at a time."""

    @property
    def manifest(self) -> Manifest:
        """What is loaded."""

    def predict(self, batch: Sequence[FloatArray], options: Sequence[Options]) -> Prediction:
        """Recognise or classify: each clip is (N,) float32 in [-1, 1] at `PCM_RATE_HZ`, whatever the model's rate is.

        Raises PredictFailed. An item's outcome does not depend on the others in its batch, beyond rounding.
        """

    def warm_up(self) -> Iterator[None]:
        """Run for nobody, one shape a step: those that take the most memory, then a short clip.

        After the last step what is measured is what will be needed, and who asks finds everything at hand. Between two
        steps it may predict.
        """

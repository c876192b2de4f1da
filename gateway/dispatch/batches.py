"""Which jobs travel together: a batch and its limits. Pure."""

import math
from dataclasses import dataclass, field
from typing import Final, Generic

from gateway.dispatch.curve import Curve
from gateway.dispatch.jobs import Urgency, Waiting
from gateway.dispatch.lines import W
from gateway.dispatch.settings import DispatchSettings

_ROUNDING = 1e-9
_FIXED_SHARE: Final = 0.1
_WATCHED_SHARE: Final = 0.2


@dataclass(frozen=True)
class Limits:
    """What a batch may hold that begins at `now_s`.

    `padding` is the share that may be padding, `worth_s` what of it one more job may bring.
    """

    jobs: int
    padded_s: float
    padding: float
    worth_s: float
    curve: Curve
    now_s: float

    @classmethod
    def of(
        cls,
        settings: DispatchSettings,
        curve: Curve,
        now_s: float,
        *,
        is_watched: bool = False,
        quickest_for_s: float | None = None,
    ) -> "Limits":
        """By the measured curve, within what the operator allows.

        Of either class no batch grows for the last tenth of its speed: who comes next waits for the whole of it, and
        nothing announces the first to come after a quiet hour. Bulk that interactive work is about (`is_watched`) does
        not for the last fifth. `quickest_for_s`: of so much audio that waits; the batch is only as large as serves
        those soonest.
        """
        preferred_s = curve.preferred_s(_WATCHED_SHARE if is_watched else _FIXED_SHARE)
        most_s = min(settings.max_batch_s, preferred_s, curve.holds_s(settings.max_compute_s))
        if quickest_for_s is not None:
            most_s = min(most_s, curve.quickest_s(quickest_for_s))
        return cls(settings.max_batch, most_s, settings.max_padding, curve.worth_s, curve, now_s)


@dataclass(eq=False)
class Batch(Generic[W]):
    """Jobs of one class that are computed together, each padded to the longest; `predicted_s` by the curve."""

    urgency: Urgency
    jobs: list[W] = field(default_factory=list)
    longest_s: float = 0.0
    speech_s: float = 0.0
    predicted_s: float = 0.0
    deadline_s: float = math.inf

    @property
    def padded_s(self) -> float:
        """Its audio with padding."""
        return self.longest_s * len(self.jobs)

    @property
    def padding_s(self) -> float:
        """What of that is no speech of anybody; never less than nothing, as a sum of lengths may be by its rounding."""
        return max(0.0, self.padded_s - self.speech_s)

    def add(self, job: W) -> None:
        """One more."""
        self.jobs.append(job)
        self.longest_s = max(self.longest_s, job.seconds)
        self.speech_s += job.seconds
        self.deadline_s = min(self.deadline_s, _deadline_s(job))

    def takes(self, job: W, limits: Limits) -> bool:
        """Whether it may travel with the others that are in it; nobody is to be late for the company."""
        count = len(self.jobs) + 1
        padded_s = max(self.longest_s, job.seconds) * count
        padding_s = padded_s - self.speech_s - job.seconds
        return (
            count <= limits.jobs
            and padded_s <= limits.padded_s + _ROUNDING
            and padding_s <= limits.padding * padded_s + _ROUNDING
            and padding_s - self.padding_s <= limits.worth_s + _ROUNDING
            and limits.now_s + limits.curve.predicted_s(padded_s) <= min(self.deadline_s, _deadline_s(job))
        )


def _deadline_s(job: Waiting) -> float:
    return math.inf if job.deadline_s is None else job.deadline_s

"""What the workers of one version took, loaded in one way: from that follows what the next one is charged."""

import math
from dataclasses import dataclass, replace
from typing import Final

from model_store.residency.events import Size

# How many lives a mean looks back on, and what is left of the spread after one more that was no larger.
_LIVES: Final = 16
_SPREAD_LEFT: Final = 31 / 32
# Of the size, until lives have told how much they differ.
_FIRST_SPREAD: Final = 0.1
_SHRINK_BY: Final = 0.25


@dataclass(frozen=True)
class History:
    """The mean of what workers took at most, the most that their loads took, and how far beyond the mean they come.

    On a CPU workers differ though they do the same (109 to 121 MiB, now and then 128, of one starter model), because
    Paddle frees in a thread of its own, which on a busy machine comes late (168 MiB were seen). `lives` counts those
    that the mean is of; `spread_bytes` follows the larger ones at once and shrinks slowly. `only_grows`: as on a GPU,
    whose allocator gives nothing back, and which is only looked at now and then; there the most that was seen counts.
    """

    size: Size
    load_s: float = 0.0
    lives: int = _LIVES
    spread_bytes: int = 0
    only_grows: bool = False

    @classmethod
    def remembered(cls, size: Size, load_s: float, *, only_grows: bool) -> "History":
        """That of a catalogue, which does not say how much its workers differed."""
        spread_bytes = 0 if only_grows else round(_FIRST_SPREAD * size.steady_bytes)
        return cls(size, load_s, spread_bytes=spread_bytes, only_grows=only_grows)

    @classmethod
    def begun(cls, size: Size, *, only_grows: bool) -> "History":
        """That of a first load: what its worker takes at most is known at the end of its life."""
        return replace(cls.remembered(size, 0.0, only_grows=only_grows), lives=0)

    def loaded(self, size: Size, load_s: float) -> "History":
        """With one more load, in that time."""
        peak_bytes = max(self.size.peak_bytes, size.peak_bytes)
        steady_bytes = max(self.size.steady_bytes, size.steady_bytes) if self.only_grows else self.size.steady_bytes
        return replace(self, size=Size(steady_bytes, peak_bytes), load_s=load_s)

    def lived(self, size: Size, *, is_whole: bool) -> "History":
        """With one more life. `is_whole`: it was warm, so that it would not have taken more later."""
        peak_bytes = self.size.peak_bytes
        if is_whole:
            peak_bytes += round(_SHRINK_BY * (size.peak_bytes - peak_bytes))
        after = replace(self, size=Size(self.size.steady_bytes, max(size.peak_bytes, peak_bytes)))
        return after._averaged(size.steady_bytes) if is_whole or size.steady_bytes > self.size.steady_bytes else after

    def _averaged(self, steady_bytes: int) -> "History":
        lives = 1 if self.only_grows else min(self.lives + 1, _LIVES)
        mean_bytes = round(self.size.steady_bytes + (steady_bytes - self.size.steady_bytes) / lives)
        spread_bytes = max(steady_bytes - mean_bytes, round(self.spread_bytes * _SPREAD_LEFT))
        return replace(self, size=Size(mean_bytes, self.size.peak_bytes), lives=lives, spread_bytes=spread_bytes)

    def growth_bytes(self, budget_bytes: int) -> int:
        """How far all such workers that fit into a budget may come beyond their charges.

        Few may all be as large as the largest; of many that is unlikely, since chances add up by their squares.
        """
        workers = max(1.0, budget_bytes / max(1, self.size.steady_bytes))
        return round(self.spread_bytes * min(workers, 2 * math.sqrt(workers)))

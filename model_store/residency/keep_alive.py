"""When residents that nobody uses are to go, though nobody wants their room."""

import heapq
import math
from collections.abc import Callable, Iterator

from model_store.residency.ledger import Resident
from model_store.residency.settings import ResidencySettings


class KeepAlives:
    """The ends of all keep-alives; `find` gives a resident by its number while its bytes are charged."""

    def __init__(self, settings: ResidencySettings, find: Callable[[int], Resident | None]) -> None:
        self._settings = settings
        self._find = find
        self._ends: list[tuple[float, int]] = []  # a heap; some entries are out of date

    @property
    def next_end_s(self) -> float:
        """When the next one may end; infinite when none does."""
        return self._ends[0][0] if self._ends else math.inf

    def note(self, resident: Resident) -> None:
        """It may be idle now, or other rules hold for it."""
        if resident.is_idle and math.isfinite(ends_s := self._end_s(resident)):
            heapq.heappush(self._ends, (ends_s, resident.id))

    def ended(self, now_s: float) -> Iterator[Resident]:
        """Whose time is up."""
        while self._ends and self._ends[0][0] <= now_s:
            resident = self._find(heapq.heappop(self._ends)[1])
            if resident is not None and resident.is_idle and self._end_s(resident) <= now_s:
                yield resident

    def _end_s(self, resident: Resident) -> float:
        if resident.is_pinned:
            return math.inf
        keep_alive_s = resident.rules.keep_alive_s
        if resident.is_copy:
            keep_alive_s = min(keep_alive_s, self._settings.copies_after_s)
        return resident.used_at_s + max(keep_alive_s, self._settings.linger_s)

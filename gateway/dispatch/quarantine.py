"""Inputs that killed two workers: refused for a while, known by a digest alone. Nothing of the audio is kept.

The second worker was fresh, warm and had the input to itself, so the input is to blame. It is so for one version: what
kills the predictor of one may be harmless to another.
"""

import hashlib
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import structlog
from cachetools import TTLCache

from gateway.dispatch import metrics
from gateway.dispatch.settings import DispatchSettings
from model_store.errors import WorkerLost
from model_store.runtime.seam import Pcm

log = structlog.get_logger()


class Quarantine:
    """Digests of inputs and when each was caught; the oldest goes when there are too many, and each in its time."""

    def __init__(self, settings: DispatchSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept_s = settings.quarantine_s
        self._caught: TTLCache[bytes, float] = TTLCache(settings.max_quarantined, settings.quarantine_s, timer=clock)

    def add(self, version: str, pcm: Pcm) -> WorkerLost:
        """Remember an input, and say what its sender is told."""
        if self._kept_s == 0:
            return WorkerLost("Two workers died over this request. Do not send it again unchanged.")
        key = _digest(version, pcm)
        self._caught[key] = self._clock()
        metrics.QUARANTINED.inc()
        log.warning("dispatch.quarantined", version=version[:12], input=key.hex(), for_s=self._kept_s)
        return self._told("Two workers died over this request", self._kept_s)

    def refusal(self, version: str, pcm: Pcm) -> WorkerLost | None:
        """What the sender of an input that was caught is told, None for all others; costs them nothing, mostly."""
        if not self._caught.currsize or (caught_s := self._caught.get(_digest(version, pcm))) is None:
            return None
        metrics.QUARANTINE_REFUSALS.inc()
        return self._told("Two workers died over this very audio before", caught_s + self._kept_s - self._clock())

    def _told(self, why: str, left_s: float) -> WorkerLost:
        until = datetime.now(UTC) + timedelta(seconds=left_s)
        hint = f"{why}; it is refused until {until:%H:%M:%S} UTC. Do not send it again unchanged."
        return WorkerLost(hint, quarantined_until=until.isoformat(timespec="seconds"))


def is_same(one: Pcm, other: Pcm) -> bool:
    """Bit by bit: what is not a number is not equal to itself, and is just what may kill a worker."""
    return np.array_equal(one.view(np.int32), other.view(np.int32))


def _digest(version: str, pcm: Pcm) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(pcm).data, digest_size=16, key=version.encode()[:64]).digest()

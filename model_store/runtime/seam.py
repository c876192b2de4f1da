"""What residency and dispatch know of workers; `local.py` implements it with processes of this machine."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from model_store.predictors.hypotheses import Options
from model_store.runtime.messages import Load, Loaded, Result

Pcm = np.ndarray[tuple[int], np.dtype[np.float32]]


class WorkerDied(Exception):
    """The worker's process ended, or was ended because it hung, before it answered; dispatch tries its items again."""


@dataclass(frozen=True, eq=False)
class Utterance:
    """One item of a batch: float32 PCM at 16 kHz (`PCM_RATE_HZ`); `deadline_s` on CLOCK_MONOTONIC."""

    pcm: Pcm
    options: Options
    deadline_s: float | None = None


class Worker(Protocol):
    """One process with one predictor. `exited` is done, with the reason in words, when the kernel has ended it.

    `is_warm` once it has said that nothing of its warm-up is left to do.
    """

    pid: int
    exited: asyncio.Future[str]
    is_warm: bool

    async def load(self, command: Load) -> Loaded:
        """Make the predictor; raises the tree's error that the worker reported, or WorkerDied."""

    async def infer(self, batch: Sequence[Utterance]) -> list[Result]:
        """One batch, results in its order; raises WorkerDied. When cancelled, the worker is told."""

    def skip(self, number: int) -> None:
        """Nobody waits for that item of the batch in flight; if it has not begun, its result is empty."""

    async def stop(self, grace_s: float) -> None:
        """Drain, then end; killed after `grace_s`. Returns when the process is gone."""

    def kill(self) -> None:
        """End the process now."""

    def private_bytes(self) -> int:
        """What its end would give back, as it last told; 0 once it has ended.

        It measures itself: for a large process the kernel needs milliseconds to count its pages.
        """

    @property
    def peak_private_bytes(self) -> int:
        """The most private bytes that it has reported."""

    @property
    def most_run_bytes(self) -> int:
        """The most private bytes that it has reported since it was loaded."""


class Runtime(Protocol):
    """Where workers come from."""

    async def start(self) -> None:
        """Get ready to spawn; returns when the next worker would be there at once."""

    async def spawn(self) -> Worker:
        """A fresh worker without a predictor."""

    def shared_bytes(self) -> int:
        """What counts once, however many workers there are: the runtime itself, and files that all workers map."""

    async def stop(self) -> None:
        """End whatever is left."""

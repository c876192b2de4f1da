"""Workers killed in the middle of a load, of a batch, or of their end, and how soon their model answers again."""

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import psutil

from tests.integration.drills import SHORT, residents
from tests.integration.live import Gateway, cpu_s, until
from tests.integration.sound import RATE_HZ, speech, wav

# Several batches, so that there is a middle to be met in.
LONG = wav(np.tile(np.concatenate([speech(12.0), np.zeros(RATE_HZ)]), 6))
KEEP_ALIVE_S = 3.0
ENVIRON = {"VOXGATE_RESIDENCY_KEEP_ALIVE_S": str(KEEP_ALIVE_S)}


@dataclass(frozen=True)
class Recovery:
    """A kill, how long its model had no answer after it, and what of that its new load took."""

    moment: str
    seconds: float
    load_s: float

    @property
    def beyond_s(self) -> float:
        """What there was beside the load; a short request included, where it is what ends the wait."""
        return self.seconds - self.load_s


class Killer:
    """Kills workers of a gateway that keeps an idle model for a moment only: one that was left alone is cold again.

    The models beside are in use all the time, so that the newest worker is that of the model in hand.
    """

    def __init__(self, gateway: Gateway, rng: random.Random) -> None:
        server = gateway.fork_server()
        assert server is not None
        self._gateway = gateway
        self._server = server
        self._rng = rng

    def round(self, language: str) -> Iterator[Recovery]:
        """One kill of each kind; the model is cold before, and loaded afterwards."""
        yield self._killed_in_load(language)
        yield self._killed_in_infer(language)
        yield self._killed_in_evict(language)

    def _killed_in_load(self, language: str) -> Recovery:
        others = self._workers()
        with ThreadPoolExecutor(1) as caller:
            answer = caller.submit(self._ask, SHORT, language)
            worker = until(lambda: self._workers() - others, "a loading worker").pop()
            computed(worker, self._rng.uniform(0.0, 0.1))  # a load that was measured before is soon over
            assert not answer.done()
            return self._recovery("load", language, worker, answer.result)

    def _killed_in_infer(self, language: str) -> Recovery:
        """The model is back when another worker is ready, before the request itself is through."""
        worker, killed = self._newest(), self._resident(language)["id"]
        with ThreadPoolExecutor(1) as caller:
            before_s = cpu_s(worker)
            answer = caller.submit(self._ask, LONG, language)
            computed(worker, self._rng.uniform(0.02, 0.25), before_s)
            assert not answer.done()

            back = self._recovery("infer", language, worker, lambda: self._ready(language, killed))
            assert answer.result().is_success
            return back

    def _killed_in_evict(self, language: str) -> Recovery:
        worker = self._newest()
        worker.suspend()  # or its end would be over before it can be met
        until(lambda: self._resident(language).get("phase") == "stopping", "an eviction")
        return self._recovery("evict", language, worker, lambda: self._ask(SHORT, language))

    def _recovery(
        self, moment: str, language: str, worker: psutil.Process, recovered: Callable[[], object]
    ) -> Recovery:
        worker.kill()
        killed_s = time.monotonic()
        recovered()
        seconds = time.monotonic() - killed_s
        return Recovery(moment, seconds, float(self._resident(language)["load_s"]))

    def _ready(self, language: str, killed: int) -> None:
        """Wait until another resident than the one that was killed is ready."""

        def is_back() -> bool:
            resident = self._resident(language)
            return bool(resident) and resident["id"] != killed and resident["phase"] == "ready"

        until(is_back, "another worker", 120.0)

    def _resident(self, language: str) -> dict[str, Any]:
        return residents(self._gateway).get(f"{language}-general", {})

    def _ask(self, audio: bytes, language: str) -> httpx.Response:
        return self._gateway.transcribe(audio, language=language).raise_for_status()

    def _workers(self) -> set[psutil.Process]:
        return {child for child in self._server.children() if child.status() != psutil.STATUS_ZOMBIE}

    def _newest(self) -> psutil.Process:
        return max(self._workers(), key=psutil.Process.create_time)


def computed(process: psutil.Process, seconds: float, before_s: float = 0.0) -> None:
    """Wait until a process has computed so much more than before; a worker has computed nothing when it is forked."""
    until(lambda: cpu_s(process) >= before_s + seconds, "a computing worker")

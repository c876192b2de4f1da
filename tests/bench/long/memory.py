"""What a gateway and its workers take while they work: memory, whether it is flat, and cores."""

import contextlib
import statistics
import time
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import psutil

from model_store.runtime.memory import memory_of
from tests.integration.live import cpu_s, sampled

_EVERY_S: Final = 0.5
_PARTS: Final = 10


class Sample(NamedTuple):
    """At one moment: what the gateway has resident, the private bytes of its workers, and what all have computed."""

    at_s: float
    gateway_bytes: int
    workers_bytes: int
    cpu_s: float = 0.0


class Flatness(NamedTuple):
    """Medians of the middle and of the last tenth of a run, and by how much the gateway grew at most.

    Until the middle, what a worker has given back while it was idle comes again, and engines prepare for each shape.
    """

    middle_bytes: float
    late_bytes: float
    gateway_grew_bytes: int

    @property
    def ratio(self) -> float:
        """The last tenth to the middle."""
        return self.late_bytes / self.middle_bytes


def flatness(samples: Sequence[Sample]) -> Flatness:
    """Of a run. Pure."""
    began_s, took_s = samples[0].at_s, samples[-1].at_s - samples[0].at_s

    def tenth(number: int) -> float:
        bounds_s = [began_s + took_s * part / _PARTS for part in (number, number + 1)]
        found = [one for one in samples if bounds_s[0] <= one.at_s <= bounds_s[1]] or [samples[-1]]
        return statistics.median(one.gateway_bytes + one.workers_bytes for one in found)

    grew_bytes = max(one.gateway_bytes for one in samples) - samples[0].gateway_bytes
    return Flatness(tenth(_PARTS // 2), tenth(_PARTS - 1), grew_bytes)


@contextlib.contextmanager
def watched(pid: int) -> Iterator[list[Sample]]:
    """Samples of a gateway while this is open, the first and the last at its ends."""
    first = sample(pid)
    with sampled(lambda: sample(pid), _EVERY_S) as samples:
        samples.insert(0, first)
        yield samples
    samples.append(sample(pid))


def sample(pid: int) -> Sample:
    """Now. Its children are fork servers, and theirs are workers."""
    gateway = psutil.Process(pid)
    workers = [worker for server in gateway.children() for worker in server.children()]
    private_bytes = sum(memory_of(worker.pid).private_bytes for worker in workers)
    return Sample(time.monotonic(), gateway.memory_info().rss, private_bytes, sum(map(cpu_s, [gateway, *workers])))

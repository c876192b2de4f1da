"""The jobs of one class that wait, tenant by tenant, and how fast each tenant's are served. Pure."""

from collections.abc import Iterator
from typing import Generic, TypeVar

from gateway.dispatch.fairness import Tenant
from gateway.dispatch.jobs import Waiting
from gateway.dispatch.rates import Rate

W = TypeVar("W", bound=Waiting)


class Line(Generic[W]):
    """Each tenant's in order of arrival, and their audio; there is no entry for a tenant without any."""

    def __init__(self) -> None:
        self.by_tenant: dict[Tenant, dict[W, None]] = {}
        self.seconds: dict[Tenant, float] = {}
        self._length = 0
        self._rates: dict[Tenant, Rate] = {}

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[W]:
        for jobs in self.by_tenant.values():
            yield from jobs

    def __contains__(self, job: W) -> bool:
        return job in self.by_tenant.get(job.tenant, ())

    def add(self, job: W, now_s: float) -> None:
        """The tenant's last."""
        self.by_tenant.setdefault(job.tenant, {})[job] = None
        self.seconds[job.tenant] = self.seconds.get(job.tenant, 0.0) + job.seconds
        self._length += 1
        self.expect(job, now_s)

    def expect(self, job: W, now_s: float) -> None:
        """It waits elsewhere, to be tried again; `finished` or `failed` follows."""
        self._rates.setdefault(job.tenant, Rate(now_s)).come(now_s)

    def remove(self, job: W) -> None:
        """Nobody waits for it any more."""
        self.take(job)
        self.failed(job)

    def take(self, job: W) -> None:
        """It goes to a worker; `finished` or `failed` follows."""
        jobs = self.by_tenant[job.tenant]
        del jobs[job]
        self.seconds[job.tenant] -= job.seconds
        self._length -= 1
        if not jobs:
            del self.by_tenant[job.tenant], self.seconds[job.tenant]

    def finished(self, job: W, now_s: float) -> None:
        """It was served."""
        self._rates[job.tenant].served(job.seconds, now_s)

    def failed(self, job: W) -> None:
        """It was not."""
        self._rates[job.tenant].go()

    def loaded(self, now_s: float) -> None:
        """Until now nothing could be served."""
        for rate in self._rates.values():
            rate.loaded(now_s)

    def forget(self) -> None:
        """The rates of those who are gone, save the last few."""
        for tenant in [tenant for tenant, rate in self._rates.items() if rate.is_idle][:-64]:
            del self._rates[tenant]

    def per_s(self, tenant: Tenant) -> float | None:
        """Audio seconds of a tenant that are served per second while it waits; None where that was not measured."""
        rate = self._rates.get(tenant)
        return rate.per_s if rate else None

    def mean_per_s(self, now_s: float) -> dict[Tenant, float]:
        """Audio seconds that were served per second of late, by tenant, whether some waited or not."""
        return {tenant: rate.mean_per_s(now_s) for tenant, rate in self._rates.items()}

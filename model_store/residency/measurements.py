"""What versions were measured to take, remembered in the catalogue; predicted until then."""

from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from model_store.artifacts.graphs import EngineName
from model_store.artifacts.manifest import Manifest
from model_store.catalog.protocol import Catalog
from model_store.catalog.records import DeviceKind, Measurement
from model_store.errors import VoxgateError
from model_store.predictors.hypotheses import Precision
from model_store.residency.events import Size
from model_store.residency.sizing import predicted

log = structlog.get_logger()

_SHRINK_BY = 0.25


@dataclass(frozen=True)
class Loading:
    """A way to load a version: what a measurement is kept under."""

    manifest: Manifest
    kind: DeviceKind
    precision: Precision
    engine: EngineName = "paddle"

    @property
    def key(self) -> tuple[str, DeviceKind, str]:
        """As the catalogue keeps it: it has no column for the engine, so OpenVINO is named with the precision."""
        computed = self.precision if self.engine == "paddle" else f"{self.engine}-{self.precision}"
        return self.manifest.digest, self.kind, computed


class Measurements:
    """Sizes by way of loading; the catalogue is asked once for each.

    A size grows at once: what traffic made of a worker, beyond its warm-up, is what the next one is charged. It shrinks
    slowly, by the whole lives of workers that took less, for one may have been larger than it need be: Paddle frees in
    a thread of its own, which on a busy machine comes late (168 MiB were seen of workers that take 120).
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._known: dict[tuple[str, DeviceKind, str], Measurement] = {}

    async def size(self, loading: Loading) -> Size:
        """The measured size, or else the predicted one."""
        if loading.key not in self._known:
            measured = await self._catalog.measurement(*loading.key)
            if measured is None:
                return predicted(loading.manifest, loading.kind, loading.precision, loading.engine)
            self._known[loading.key] = measured
        known = self._known[loading.key]
        return Size(known.steady_bytes, known.peak_bytes)

    def is_measured(self, loading: Loading) -> bool:
        """Whether `size`, when it was asked, had a measurement to go by."""
        return loading.key in self._known

    def learn(self, loading: Loading, size: Size, load_s: float | None = None, *, is_whole_life: bool = False) -> Size:
        """Take a measurement in, and say what the version is to be charged; without `load_s` the last one stands.

        `is_whole_life`: a warm worker never took more.
        """
        old = self._known.get(loading.key)
        shrink_by = _SHRINK_BY if is_whole_life else 0.0
        version, kind, precision = loading.key
        new = Measurement(
            version=version,
            device_kind=kind,
            precision=precision,
            steady_bytes=_corrected(old.steady_bytes if old else 0, size.steady_bytes, shrink_by),
            peak_bytes=_corrected(old.peak_bytes if old else 0, size.peak_bytes, shrink_by),
            load_s=load_s if load_s is not None else (old.load_s if old else 0.0),
            measured_at=datetime.now(UTC),
        )
        self._known[loading.key] = new
        return Size(new.steady_bytes, new.peak_bytes)

    async def save(self, loading: Loading) -> None:
        """Keep what was learned; a catalogue that does not answer costs the next prediction, not this request."""
        try:
            await self._catalog.record(self._known[loading.key])
        except VoxgateError as error:
            log.warning("residency.measurement_lost", version=loading.key[0][:12], error=error.message)


def _corrected(old_bytes: int, new_bytes: int, shrink_by: float) -> int:
    return max(new_bytes, round(old_bytes + shrink_by * (new_bytes - old_bytes)))

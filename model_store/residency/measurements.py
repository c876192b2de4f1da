"""What versions were measured to take, remembered in the catalogue; predicted until then."""

from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from model_store.artifacts.graphs import EngineName
from model_store.artifacts.manifest import Manifest
from model_store.catalog.protocol import Catalog
from model_store.catalog.records import DeviceKind, Measurement
from model_store.errors import LoadFailed, VoxgateError
from model_store.predictors.hypotheses import Precision
from model_store.residency.events import Size
from model_store.residency.history import History
from model_store.residency.sizing import predicted

log = structlog.get_logger()


@dataclass(frozen=True)
class Loading:
    """A way to load a version: what a measurement is kept under.

    `refusal`: as it is demanded it cannot be loaded, and this is why.
    """

    manifest: Manifest
    kind: DeviceKind
    precision: Precision
    engine: EngineName = "paddle"
    refusal: LoadFailed | None = None

    @property
    def key(self) -> tuple[str, DeviceKind, str]:
        """As the catalogue keeps it: it has no column for the engine, so OpenVINO is named with the precision."""
        computed = self.precision if self.engine == "paddle" else f"{self.engine}-{self.precision}"
        return self.manifest.digest, self.kind, computed


class Measurements:
    """Sizes by way of loading; the catalogue is asked once for each."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._known: dict[tuple[str, DeviceKind, str], History] = {}

    async def size(self, loading: Loading) -> Size:
        """The measured size, or else the predicted one."""
        if loading.key not in self._known:
            found = await self._catalog.measurement(*loading.key)
            if found is None:
                return predicted(loading.manifest, loading.kind, loading.precision, loading.engine)
            size = Size(found.steady_bytes, found.peak_bytes)
            self._known[loading.key] = History.remembered(size, found.load_s, only_grows=loading.kind == "gpu")
        return self._known[loading.key].size

    def is_measured(self, loading: Loading) -> bool:
        """Whether `size`, when it was asked, had a measurement to go by."""
        return loading.key in self._known

    def growth_bytes(self, kind: DeviceKind, budget_bytes: int) -> int:
        """How far workers may come beyond their charges, as if all were of the version whose workers differ most."""
        known = (history for key, history in self._known.items() if key[1] == kind)
        return max((history.growth_bytes(budget_bytes) for history in known), default=0)

    def loaded(self, loading: Loading, size: Size, load_s: float | None = None) -> int:
        """Take in what a load came to, and say what its worker is to be charged; without `load_s` the load broke."""
        old = self._known.get(loading.key) or History.begun(size, only_grows=loading.kind == "gpu")
        new = self._known[loading.key] = old.loaded(size, old.load_s if load_s is None else load_s)
        return max(new.size.steady_bytes, size.steady_bytes)

    def lived(self, loading: Loading, size: Size, *, is_whole: bool) -> None:
        """Take in what a worker that was loaded took at most in its life; see `History.lived`."""
        self._known[loading.key] = self._known[loading.key].lived(size, is_whole=is_whole)

    async def save(self, loading: Loading) -> None:
        """Keep what was learned; a catalogue that does not answer costs the next prediction, not this request."""
        try:
            await self._catalog.record(_measurement(loading, self._known[loading.key]))
        except VoxgateError as error:
            log.warning("residency.measurement_lost", version=loading.key[0][:12], error=error.message)


def _measurement(loading: Loading, history: History) -> Measurement:
    version, kind, precision = loading.key
    return Measurement(
        version=version,
        device_kind=kind,
        precision=precision,
        steady_bytes=history.size.steady_bytes,
        peak_bytes=history.size.peak_bytes,
        load_s=history.load_s,
        measured_at=datetime.now(UTC),
    )

"""What versions were measured to take, remembered in the catalogue; predicted until then."""

from datetime import UTC, datetime

from model_store.artifacts.manifest import Manifest
from model_store.catalog.protocol import Catalog
from model_store.catalog.records import DeviceKind, Measurement
from model_store.predictors.hypotheses import Precision
from model_store.residency.policy import Size
from model_store.residency.sizing import predicted


class Measurements:
    """Sizes by (version, device kind, precision); the catalogue is asked once for each."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._known: dict[tuple[str, DeviceKind, Precision], Size] = {}

    async def size(self, manifest: Manifest, kind: DeviceKind, precision: Precision) -> Size:
        """The measured size, or else the predicted one."""
        key = (manifest.digest, kind, precision)
        if key not in self._known:
            measured = await self._catalog.measurement(*key)
            if measured is None:
                return predicted(manifest, precision)
            self._known[key] = Size(measured.steady_bytes, measured.peak_bytes)
        return self._known[key]

    async def record(
        self, manifest: Manifest, kind: DeviceKind, precision: Precision, size: Size, load_s: float
    ) -> None:
        """Remember what a version was measured to take."""
        self._known[manifest.digest, kind, precision] = size
        await self._catalog.record(
            Measurement(
                version=manifest.digest,
                device_kind=kind,
                precision=precision,
                steady_bytes=size.steady_bytes,
                peak_bytes=size.peak_bytes,
                load_s=load_s,
                measured_at=datetime.now(UTC),
            )
        )

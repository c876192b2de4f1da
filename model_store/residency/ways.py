"""How versions are loaded: with which engine and how precisely, as their models' rules and the settings have it."""

from collections.abc import Callable
from pathlib import Path

import structlog

from model_store.artifacts.graphs import EngineName, Fit, Gpu, GraphRecord
from model_store.artifacts.manifest import Manifest
from model_store.artifacts.store import ArtifactStore
from model_store.catalog.records import DeviceKind, Rules
from model_store.engines.choice import choose, choose_precision, engine_said, hindrance
from model_store.engines.seam import EnginePrecision, check_precision
from model_store.errors import LoadFailed
from model_store.residency.measurements import Loading
from model_store.runtime.settings import RuntimeSettings

log = structlog.get_logger()

_SHORT = 12


class Ways:
    """Knows the manifests of all versions that were asked for, and what became of their conversions.

    `said` gives the rules of a model by its name, and may give others at any time.
    """

    def __init__(
        self, store: ArtifactStore, said: Callable[[str], Rules], settings: RuntimeSettings, gpu: Gpu | None = None
    ) -> None:
        """`gpu` is what every GPU here is; None where there is none, or they differ: TensorRT is for one alone."""
        self.manifests: dict[str, Manifest] = {}
        self._store = store
        self._said = said
        self._settings = settings
        self._gpu = gpu
        self._made: dict[tuple[str, DeviceKind, EnginePrecision], GraphRecord | None] = {}
        self._told: set[str] = set()

    def of(self, version: str, kind: DeviceKind) -> Loading:
        """How a version is loaded on a kind of device now, or why it cannot be as it is demanded.

        Raises ArtifactCorrupt when it is not in the store.
        """
        if version not in self.manifests:
            self.manifests[version] = self._store.manifest(version)
        manifest = self.manifests[version]
        said = self._said(manifest.name)
        precision = choose_precision(kind, (said.precision, self._settings.precision))
        try:
            check_precision(precision, kind)
            return Loading(manifest, kind, precision, self._engine(version, said, kind, precision))
        except LoadFailed as refusal:
            return Loading(manifest, kind, precision, refusal=refusal)

    def look_again(self) -> None:
        """Versions may have been converted or optimised since they were asked for."""
        self._made.clear()

    def graph_dir(self, loading: Loading) -> Path:
        """Where the graphs are that it is loaded from."""
        fit = self._fit(loading.precision) if loading.engine == "tensorrt" else None
        return self._store.graph_dir(loading.manifest.digest, loading.engine, fit)

    def _engine(self, version: str, said: Rules, kind: DeviceKind, precision: EnginePrecision) -> EngineName:
        wanted = engine_said(kind, (said.engine, self._settings.engine))
        key = (version, kind, precision)
        if key not in self._made:
            self._made[key] = self._look_up(*key)
        made = self._made[key]
        engine = choose(wanted, kind, precision, made)
        if made and engine == "paddle" and wanted == "auto" and version not in self._told:
            self._told.add(version)
            told = hindrance(kind, precision, made)
            log.warning("residency.not_converted", version=version[:_SHORT], reason=told)
        return engine

    def _look_up(self, version: str, kind: DeviceKind, precision: EnginePrecision) -> GraphRecord | None:
        if kind == "cpu":
            return self._store.converted(version)
        fit = self._fit(precision)
        return None if fit is None else self._store.optimized(version, fit)

    def _fit(self, precision: EnginePrecision) -> Fit | None:
        return None if self._gpu is None else Fit(self._gpu, precision)

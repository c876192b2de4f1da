"""The composition root of the server: every room made and joined, in the order in which they depend on each other."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from litestar import Litestar
from litestar.types import ASGIApp, Scope

from admin.api import Control
from gateway.admission import Admission
from gateway.api import Doors, Observed, UploadLimits
from gateway.api.record import record_of
from gateway.dispatch.dispatcher import Dispatcher
from gateway.pipeline import Pipeline
from gateway.routing.snapshot import Snapshot
from gateway.settings import Settings
from model_store.artifacts.store import ArtifactStore
from model_store.catalog.sql import SqlCatalog, open_catalog
from model_store.errors import ModelUnavailable
from model_store.importers.process import make_graphs
from model_store.residency.devices import discover
from model_store.residency.manager import ResidencyManager
from model_store.residency.owner import ownership
from model_store.residency.view import ResidencyView
from model_store.runtime.local import LocalRuntime
from model_store.starter.install import install


class Gateway:
    """All that serves one data directory; made once, run once."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.admission = Admission()
        self.residency: ResidencyManager | None = None
        self._dispatcher: Dispatcher | None = None
        self._pipeline: Pipeline | None = None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """From the owner's lock to the last worker's end. Raises EditConflict when another gateway runs here."""
        data_dir = self.settings.server.data_path
        with ownership(data_dir):
            store = ArtifactStore(data_dir / "artifacts")
            catalog = await open_catalog(self.settings.catalog.url_in(data_dir))
            try:
                async with self._serving(store, catalog):
                    yield
            finally:
                await catalog.close()

    def pipeline(self) -> Pipeline:
        """What answers requests; raises ModelUnavailable before there is one, ShuttingDown after it was closed."""
        self.admission.check()
        if self._pipeline is None:
            raise ModelUnavailable("The gateway is still starting.", retry_after_s=2.0)
        return self._pipeline

    def look(self) -> ResidencyView:
        """What is loaded where, and why; raises ModelUnavailable before there is anything to see."""
        if self.residency is None:
            raise ModelUnavailable("The gateway is still starting.", retry_after_s=2.0)
        return self.residency.look()

    def give_up(self) -> None:
        """Answer those who are still inside with ShuttingDown: the time that they had to finish is up."""
        if self._dispatcher is not None:
            self._dispatcher.close()

    def not_ready(self) -> list[str]:
        """Why it is not ready; empty when it is."""
        reasons = [] if self.admission.is_open else ["shutting down"]
        if self._pipeline is None or not self._pipeline.models():
            reasons.append("no model is registered")
        if self.residency is None or not self.residency.is_ready:
            reasons.append("workers are starting")
        return reasons

    @contextlib.asynccontextmanager
    async def _serving(self, store: ArtifactStore, catalog: SqlCatalog) -> AsyncIterator[None]:
        settings = self.settings
        self.residency = ResidencyManager(
            LocalRuntime(settings.runtime),
            discover(settings.residency),
            store,
            catalog,
            settings.residency,
            settings.runtime,
        )
        self.residency.start()
        snapshot = Snapshot(catalog, settings.routing)
        try:
            if settings.server.starter_models:
                await install(store, catalog)
            await make_graphs([version.digest for version in await catalog.versions()], store)
            await snapshot.refresh()
            async with _background(snapshot.keep()):
                self._pipeline = self._joined(snapshot)
                yield
        finally:
            await self.residency.stop()

    def _joined(self, snapshot: Snapshot) -> Pipeline:
        assert self.residency is not None  # noqa: S101  (made by the caller)
        self._dispatcher = Dispatcher(self.residency, self.settings.dispatch)
        return Pipeline(
            self._dispatcher,
            lambda: snapshot.router,
            self.settings.audio,
            self.settings.pipeline,
        )


def create_app(gateway: Gateway) -> ASGIApp:
    """The HTTP application over a gateway, to be served while that is `running`."""
    settings = gateway.settings
    limits = UploadLimits(
        api=settings.api, max_upload_bytes=settings.audio.max_upload_bytes, spool_dir=settings.audio.spool_dir
    )
    doors = Doors(limits, pipeline=gateway.pipeline, readiness=gateway.not_ready)
    control = Control(settings.admin, look=gateway.look, note=_noted)
    return gateway.admission.around(Observed(Litestar(plugins=[doors, control])))


def _noted(scope: Scope, code: str) -> str:
    """Put an error of the control plane into the request's record; returns the request's id."""
    record = record_of(scope)
    record.code = code
    return record.request_id


@contextlib.asynccontextmanager
async def _background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

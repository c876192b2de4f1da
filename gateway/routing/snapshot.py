"""A recent copy of the catalogue's models, so that routing asks no database."""

import asyncio

import structlog

from gateway.routing.router import Router
from gateway.routing.settings import RoutingSettings
from model_store.catalog.protocol import Catalog
from model_store.errors import VoxgateError

log = structlog.get_logger()

_REFRESH_S = 2.0


class Snapshot:
    """Routes by the models as of a moment ago: what another process registers is served within two seconds."""

    def __init__(self, catalog: Catalog, settings: RoutingSettings) -> None:
        self._catalog = catalog
        self._settings = settings
        self.router = Router((), settings)

    async def refresh(self) -> None:
        """Read the catalogue now."""
        self.router = Router(tuple(await self._catalog.models()), self._settings)

    async def keep(self) -> None:
        """Refresh for ever; a catalogue that does not answer leaves the last copy in force."""
        while True:
            await asyncio.sleep(_REFRESH_S)
            try:
                await self.refresh()
            except VoxgateError as error:
                log.warning("snapshot.stale", error=error.message)

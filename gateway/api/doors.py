"""How the doors are hung into a litestar application."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from litestar.config.app import AppConfig
from litestar.di import Provide
from litestar.plugins import InitPlugin

from gateway.api import openai, operations
from gateway.api.docs import openapi_config
from gateway.api.errors import EXCEPTION_HANDLERS
from gateway.api.operations import Readiness
from gateway.api.upload import UploadLimits

if TYPE_CHECKING:
    from gateway.pipeline import Pipeline


class Doors(InitPlugin):
    """Every wire protocol, the operators' addresses, the shape of errors and the OpenAPI page.

    `pipeline` is called once per request that needs it, so it may be made during the application's lifespan, and may
    raise an error of the tree until then. `readiness` gives the reasons for which the gateway is not ready.
    """

    def __init__(self, limits: UploadLimits, *, pipeline: "Callable[[], Pipeline]", readiness: Readiness) -> None:
        self._limits = limits
        self._pipeline = pipeline
        self._readiness = readiness

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        app_config.route_handlers.extend([*openai.HANDLERS, *operations.HANDLERS])
        app_config.exception_handlers.update(EXCEPTION_HANDLERS)
        app_config.dependencies.update(
            pipeline=Provide(self._give_pipeline, sync_to_thread=False),
            readiness=Provide(self._give_readiness, sync_to_thread=False),
        )
        # No dependency: to resolve more than one for a request, litestar starts a task for each.
        app_config.state["limits"] = self._limits
        app_config.openapi_config = openapi_config(operations.own_version())
        # The gateway sets up logging itself; litestar would start a queue and a thread for it.
        app_config.logging_config = None
        return app_config

    def _give_pipeline(self) -> Any:
        return self._pipeline()

    def _give_readiness(self) -> Any:
        return self._readiness

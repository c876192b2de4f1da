"""How the control plane is hung into the gateway's litestar application."""

from collections.abc import Callable
from typing import Any, Final

from litestar import Request, Response, Router
from litestar.config.app import AppConfig
from litestar.connection import ASGIConnection
from litestar.di import Provide
from litestar.handlers import BaseRouteHandler
from litestar.openapi.spec import Components, SecurityScheme
from litestar.plugins import InitPlugin
from litestar.types import Guard

from admin.api import residency
from admin.api.access import VARIABLE, Gate
from admin.api.errors import Note, answer
from admin.api.residency import Look
from admin.settings import AdminSettings
from model_store.errors import AccessError

ROOT: Final = "/admin"
_OPERATOR: Final = SecurityScheme(type="http", scheme="bearer", description=f"The operator's key, from {VARIABLE}.")
Handler = Callable[..., Response[Any]]


class Control(InitPlugin):
    """Everything under /admin. Give it to the application after whatever sets the handler of exceptions.

    `look` may raise an error of the tree while there is nothing to be seen; `note` is told of every error.
    """

    def __init__(self, settings: AdminSettings, *, look: Look, note: Note) -> None:
        self._gate = Gate(settings.bootstrap_key)
        self._look = look
        self._note = note

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        app_config.route_handlers.append(
            Router(f"{ROOT}/v1", route_handlers=residency.HANDLERS, guards=[_guard(self._gate)])
        )
        # Not the router's: litestar makes deep copies of routers, and what is looked at must not be a copy.
        app_config.dependencies["look"] = Provide(self._give_look, sync_to_thread=False)
        theirs: Any = app_config.exception_handlers.get(Exception)
        app_config.exception_handlers[Exception] = self._answering(theirs)
        if app_config.openapi_config is not None:
            app_config.openapi_config.components = Components(security_schemes={"operator": _OPERATOR})
        return app_config

    def _answering(self, theirs: Handler) -> Handler:
        """Errors under /admin are ours, also of unknown addresses; who may not ask is told no more."""

        def handle(request: Request[Any, Any, Any], exc: Exception) -> Response[Any]:
            if not _is_ours(request.scope["path"]):
                return theirs(request, exc)
            try:
                if not isinstance(exc, AccessError):
                    self._gate.check(request)
            except AccessError as refused:
                exc = refused
            return answer(request, exc, self._note)

        return handle

    def _give_look(self) -> Any:
        return self._look


def _guard(gate: Gate) -> Guard:
    def guard(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
        gate.check(connection)

    return guard


def _is_ours(path: str) -> bool:
    return path == ROOT or path.startswith(f"{ROOT}/")

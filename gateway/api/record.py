"""What is known of one request when it is over: its id, its line in the log, its place in the metrics."""

import re
import secrets
import time
from contextlib import AbstractContextManager, nullcontext
from typing import cast

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send
from msgspec import Struct

from gateway import metrics
from gateway.transcript import Transcript

_SANE_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
# Asked again and again by machines, or by `voxgate residency`; whoever is refused there is logged by the room itself.
_QUIET_ROUTES = frozenset({"/healthz", "/readyz", "/metrics", "/admin/v1/residency"})
_CLIENT_GONE = 499  # nginx's number; nobody is there to see it, but the log and the metrics are

_log = structlog.get_logger("voxgate.access")


class RequestRecord(Struct, kw_only=True):
    """Filled in by whoever learns it; never holds audio or text. `code` is that of the error the client saw."""

    request_id: str
    status: int = _CLIENT_GONE
    code: str | None = None
    model: str | None = None
    language: str | None = None
    audio_s: float | None = None


def record_of(scope: Scope) -> RequestRecord:
    """The record of this request; a fresh one where `Observed` is not around the application."""
    state = scope.setdefault("state", {})
    if "record" not in state:
        state["record"] = RequestRecord(request_id=request_id(scope))
    return cast(RequestRecord, state["record"])


def request_id(scope: Scope) -> str:
    """The caller's own `x-request-id` where it is short and plain, else a new one."""
    said = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
    return said if _SANE_ID.fullmatch(said) else secrets.token_hex(16)


def finished(record: RequestRecord, transcript: Transcript) -> None:
    """Note and count a transcript; every wire protocol calls this once for each."""
    record.model = ",".join(decision.model for decision in transcript.decisions) or None
    record.language = ",".join(decision.language for decision in transcript.decisions) or None
    record.audio_s = round(transcript.duration_s, 3)
    metrics.transcribed(transcript)


class Observed:
    """The outermost layer, around the whole application, so that no answer lacks an id, a log line or a count.

    Litestar's own middleware does not see addresses that match no route.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self.app(scope, receive, send)
            return
        record = record_of(scope)
        started = time.perf_counter()
        with (
            structlog.contextvars.bound_contextvars(request_id=record.request_id),
            _in_flight(scope),
        ):
            try:
                await self.app(scope, receive, _noting(send, record))
            finally:
                _close(scope, record, time.perf_counter() - started)


def _in_flight(scope: Scope) -> AbstractContextManager[object]:
    """Counts the request, unless it is one that asks for the count."""
    is_quiet = scope["path"] in _QUIET_ROUTES
    return nullcontext() if is_quiet else metrics.REQUESTS_IN_FLIGHT.track_inprogress()


def _noting(send: Send, record: RequestRecord) -> Send:
    async def noting(message: Message) -> None:
        if message["type"] == "http.response.start":
            record.status = message["status"]
            header = (b"x-request-id", record.request_id.encode())
            message["headers"] = [*message.get("headers", ()), header]
        await send(message)

    return noting


def _close(scope: HTTPScope, record: RequestRecord, seconds: float) -> None:
    route = scope.get("path_template") or "unmatched"
    metrics.answered(route, record.status, record.code, seconds)
    write = _log.debug if route in _QUIET_ROUTES else _log.info
    write(
        "request",
        method=scope["method"],
        path=scope["path"],
        status=record.status,
        code=record.code,
        ms=round(seconds * 1000, 1),
        model=record.model,
        language=record.language,
        audio_s=record.audio_s,
    )

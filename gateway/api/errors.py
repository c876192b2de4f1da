"""How an error looks to clients of OpenAI's protocol; also for addresses and methods that do not exist."""

import math
from collections.abc import Callable
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from msgspec import UNSET, Struct

from gateway.api import formats
from gateway.api.bodies import ErrorBody, ErrorExtras, ErrorFacts
from gateway.api.disconnect import ClientGone
from gateway.api.record import record_of
from gateway.transcript import Transcript
from model_store.errors import (
    AudioTooLarge,
    CapacityError,
    DeadlineExceeded,
    NotFound,
    OptionInvalid,
    VoxgateError,
)

UNEXPECTED = "internal_error"
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    429: "rate_limit_error",
}
_log = structlog.get_logger("voxgate.api")


class Rendered(Struct, frozen=True):
    """An error as it goes out: as a response, or as the last event of a stream."""

    status: int
    body: ErrorBody
    headers: dict[str, str]


def render(exc: Exception, request_id: str) -> Rendered:
    """Any exception in OpenAI's shape; one that is not of the tree says nothing of what happened inside."""
    if isinstance(exc, VoxgateError):
        return _rendered(exc, exc.code, exc.status, request_id)
    if isinstance(exc, HTTPException) and exc.status_code < 500:
        ours = _of_litestar(exc)
        return _rendered(ours, ours.code, exc.status_code, request_id, exc.headers or {})
    hidden = VoxgateError(f"Something broke on our side; please report the request id {request_id}.")
    return _rendered(hidden, UNEXPECTED, 500, request_id)


def error_type(status: int) -> str:
    """OpenAI's kind of error for a status."""
    return _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")


def report(exc: Exception, rendered: Rendered) -> None:
    """Into the log, with the traceback, what is our own fault."""
    if not isinstance(exc, (CapacityError, DeadlineExceeded)) and rendered.status >= 500:
        _log.error("request failed", code=rendered.body.error.code, exc_info=exc)


def _rendered(
    exc: VoxgateError, code: str, status: int, request_id: str, more_headers: dict[str, str] | None = None
) -> Rendered:
    facts = ErrorFacts(message=exc.message, type=error_type(status), param=exc.param, code=code)
    extras = ErrorExtras(request_id=request_id, retryable=exc.retryable, details=exc.details, partial=_partial(exc))
    # `x-should-retry` is obeyed by the openai client, which else tries every 409, 429 and 5xx twice again.
    headers = {"x-should-retry": str(exc.retryable).lower(), "x-voxgate-code": code, **(more_headers or {})}
    if isinstance(exc, CapacityError):
        headers["retry-after"] = str(max(1, math.ceil(exc.retry_after_s)))
    return Rendered(status, ErrorBody(error=facts, voxgate=extras), headers)


def _partial(exc: VoxgateError) -> Any:
    if not isinstance(exc, DeadlineExceeded) or exc.partial is None:
        return UNSET
    return formats.partial(exc.partial) if isinstance(exc.partial, Transcript) else exc.partial


def _of_litestar(exc: HTTPException) -> VoxgateError:
    if exc.status_code == 404:
        return NotFound("There is no such address; /docs lists those there are.")
    if exc.status_code == 405:
        allowed = (exc.headers or {}).get("allow", "")
        return NotFound(f"This address does not take that method; it takes {allowed}.", allowed=allowed.split(", "))
    if exc.status_code == 413:
        return AudioTooLarge("The request is larger than this address takes.")
    return OptionInvalid(exc.detail)


def _answer(request: Request[Any, Any, Any], exc: Exception) -> Response[bytes]:
    record = record_of(request.scope)
    rendered = render(exc, record.request_id)
    report(exc, rendered)
    record.code = rendered.body.error.code
    return Response(
        encoded(rendered.body), status_code=rendered.status, headers=rendered.headers, media_type="application/json"
    )


def encoded(body: ErrorBody) -> bytes:
    """As JSON; what `details` or `partial` hold is written out as far as it can be, and never costs the answer."""
    return msgspec.json.encode(body, enc_hook=str)


def _nobody_there(request: Request[Any, Any, Any], _exc: ClientGone) -> Response[None]:
    record = record_of(request.scope)
    record.code = "client_gone"
    return Response(None, status_code=record.status)


EXCEPTION_HANDLERS: dict[int | type[Exception], Callable[..., Response[Any]]] = {
    Exception: _answer,
    ClientGone: _nobody_there,
}

"""How an error looks to admins: problem details (RFC 9457), also for addresses and methods that do not exist."""

import math
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import Scope
from msgspec import UNSET, Meta, Struct, UnsetType

from model_store.errors import (
    CapacityError,
    DeadlineExceeded,
    KeyInvalid,
    KeyMissing,
    NotFound,
    OptionInvalid,
    VoxgateError,
)

MEDIA_TYPE: Final = "application/problem+json"
UNEXPECTED: Final = "internal_error"
# Takes a request's scope and the code of the error that it ends with, and gives the request's id.
Note = Callable[[Scope, str], str]
_CHALLENGES: Final[dict[type[VoxgateError], str]] = {KeyMissing: "Bearer", KeyInvalid: 'Bearer error="invalid_token"'}
_log = structlog.get_logger("voxgate.admin")


class Problem(Struct, frozen=True, kw_only=True):
    """An error of the control plane; from `code` on the fields are ours."""

    type: Annotated[str, Meta(description="Where the kind of error is described.")]
    title: Annotated[str, Meta(description="The kind of error, in words; the same each time.")]
    status: Annotated[int, Meta(description="HTTP status.")]
    detail: Annotated[str, Meta(description="What happened this time, and what to do about it.")]
    code: Annotated[str, Meta(description="The kind of error, for programs.")]
    retryable: Annotated[bool, Meta(description="Whether the same request may succeed when it is sent again.")]
    request_id: Annotated[str, Meta(description="Id of the request, as in `x-request-id`.")]
    param: Annotated[str | UnsetType, Meta(description="What of the request is to blame.")] = UNSET
    details: Annotated[dict[str, Any] | UnsetType, Meta(description="What a program may want to read.")] = UNSET
    partial: Annotated[Any, Meta(description="What there is of the answer, where there is some.")] = UNSET


class Rendered(Struct, frozen=True):
    """An error as it goes out."""

    body: Problem
    headers: dict[str, str]


def render(exc: Exception, request_id: str) -> Rendered:
    """Any exception as a problem; one that is not of the tree says nothing of what happened inside."""
    if isinstance(exc, VoxgateError):
        return _rendered(exc, exc.code, exc.status, request_id)
    if isinstance(exc, HTTPException) and exc.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
        ours = _of_litestar(exc)
        return _rendered(ours, ours.code, exc.status_code, request_id, exc.headers)
    hidden = VoxgateError(f"Something broke on our side; please report the request id {request_id}.")
    return _rendered(hidden, UNEXPECTED, HTTPStatus.INTERNAL_SERVER_ERROR, request_id)


def code_of(exc: Exception) -> str:
    """The code that it is rendered with."""
    return render(exc, "").body.code


def answer(request: Request[Any, Any, Any], exc: Exception, note: Note) -> Response[bytes]:
    """The response; what is our own fault goes into the log, with its traceback."""
    rendered = render(exc, note(request.scope, code_of(exc)))
    status = rendered.body.status
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and not isinstance(exc, (CapacityError, DeadlineExceeded)):
        _log.error("request failed", code=rendered.body.code, exc_info=exc)
    body = msgspec.json.encode(rendered.body, enc_hook=str)
    return Response(body, status_code=status, headers=rendered.headers, media_type=MEDIA_TYPE)


def _rendered(
    exc: VoxgateError, code: str, status: int, request_id: str, more_headers: dict[str, str] | None = None
) -> Rendered:
    problem = Problem(
        type=f"/docs#{code}",
        title=code.replace("_", " ").capitalize(),
        status=status,
        detail=exc.message,
        code=code,
        retryable=exc.retryable,
        request_id=request_id,
        param=exc.param or UNSET,
        details=exc.details or UNSET,
        partial=_partial(exc),
    )
    headers = {"cache-control": "no-store", **(more_headers or {})}
    if isinstance(exc, CapacityError):
        headers["retry-after"] = str(max(1, math.ceil(exc.retry_after_s)))
    if challenge := _CHALLENGES.get(type(exc)):
        headers["www-authenticate"] = challenge
    return Rendered(problem, headers)


def _partial(exc: VoxgateError) -> Any:
    if isinstance(exc, DeadlineExceeded) and exc.partial is not None:
        return exc.partial
    return UNSET


def _of_litestar(exc: HTTPException) -> VoxgateError:
    if exc.status_code == HTTPStatus.NOT_FOUND:
        return NotFound("There is no such address; /docs lists those there are.")
    if exc.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = (exc.headers or {}).get("allow", "")
        return NotFound(f"This address does not take that method; it takes {allowed}.", allowed=allowed.split(", "))
    return OptionInvalid(exc.detail)

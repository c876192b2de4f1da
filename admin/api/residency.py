"""What is loaded where, and why."""

from collections.abc import Callable
from typing import Any

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import SkipValidation

from admin.api.errors import Problem
from model_store.residency.view import ResidencyView

Look = Callable[[], ResidencyView]
GivenLook = NamedDependency[SkipValidation[Look]]

_REFUSALS = {
    401: ResponseSpec(Problem, description="`key_missing`, `key_invalid`", media_type="application/problem+json"),
    403: ResponseSpec(Problem, description="`not_permitted`", media_type="application/problem+json"),
    503: ResponseSpec(
        Problem, description="`model_unavailable`: it is starting", media_type="application/problem+json"
    ),
}


@get(
    "/residency",
    tags=["Administration"],
    summary="What is loaded where, and why",
    response_description="Devices, residents, who waits, breakers, and the last decisions.",
    responses=_REFUSALS,
    security=[{"operator": []}],
)
async def show_residency(look: GivenLook) -> Response[ResidencyView]:
    """Every device with its budget, every predictor with what it takes and why it is there, and the decisions of late.

    Needs the operator's key; without one set, answers on loopback only. Errors are problem details (RFC 9457).
    """
    return Response(look(), headers={"cache-control": "no-store"})


HANDLERS: list[Any] = [show_residency]

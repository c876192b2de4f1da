"""What operators and their machines ask: is it alive, is it ready, what does it count."""

from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import SkipValidation
from msgspec import Meta, Struct
from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder

Readiness = Callable[[], Sequence[str]]
GivenReadiness = NamedDependency[SkipValidation[Readiness]]


class Health(Struct, frozen=True, kw_only=True):
    """Whether the gateway is alive, or ready for requests."""

    status: Annotated[str, Meta(description="`alive`, `ready` or `not ready`.")]
    reasons: Annotated[list[str], Meta(description="Why it is not ready.")] = []


class About(Struct, frozen=True, kw_only=True):
    """What answers here, and where to read on."""

    name: str
    version: str
    docs: str
    openapi: str
    models: str


@get("/", tags=["Operations"], summary="What this is", response_description="Name, version, addresses.")
async def about() -> About:
    """Name and version, and where the documentation is."""
    return About(name="voxgate", version=own_version(), docs="/docs", openapi="/openapi.json", models="/v1/models")


@get("/healthz", tags=["Operations"], summary="Is the process alive", response_description="It is.")
async def is_alive() -> Health:
    """Answers as long as the process does; says nothing of models or devices."""
    return Health(status="alive")


@get(
    "/readyz",
    tags=["Operations"],
    summary="Is it ready for requests",
    response_description="It is.",
    responses={503: ResponseSpec(Health, description="Not ready yet, or shutting down.", generate_examples=False)},
)
async def is_ready(readiness: GivenReadiness) -> Response[Health]:
    """503 with the reasons until requests can be served, and again from the moment it was told to stop."""
    reasons = list(readiness())
    if not reasons:
        return Response(Health(status="ready"))
    return Response(Health(status="not ready", reasons=reasons), status_code=503, headers={"retry-after": "1"})


@get(
    "/metrics",
    tags=["Operations"],
    summary="Figures for Prometheus",
    response_description="The figures.",
    media_type="text/plain",
)
async def show_metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Prometheus' text format, or OpenMetrics where it is asked for."""
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    # Litestar adds the charset to every text type.
    return Response(encode(REGISTRY), media_type=content_type.removesuffix("; charset=utf-8"))


@get("/openapi.json", include_in_schema=False)
async def show_schema(request: Request[Any, Any, Any]) -> dict[str, Any]:
    return request.app.openapi_schema.to_schema()


def own_version() -> str:
    """The installed version; a checkout that is not installed has none."""
    try:
        return version("voxgate")
    except PackageNotFoundError:
        return "0+uninstalled"


HANDLERS = [about, is_alive, is_ready, show_metrics, show_schema]

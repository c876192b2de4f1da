"""The command's way to a gateway: the one that runs on this data directory, else one of its own for a moment.

Either way the same HTTP door is used, so that what the command prints is what any client would get.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx

from gateway.app import Gateway, create_app
from gateway.serving import Server, listening_locally, local_socket
from gateway.settings import Settings
from model_store.errors import ModelUnavailable
from model_store.residency.owner import is_owned

_BASE: Final = "http://voxgate.local"
_NO_LIMIT: Final = httpx.Timeout(None, connect=10.0)
_DATA: Final = "data: "


@contextlib.asynccontextmanager
async def gateway_client(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the running gateway, or of one that lives in this process as long as the client does."""
    data_dir = settings.server.data_path
    async with contextlib.AsyncExitStack() as stack:
        if not is_owned(data_dir):
            await stack.enter_async_context(_private_gateway(settings))
        transport = httpx.AsyncHTTPTransport(uds=str(local_socket(data_dir)))
        yield await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url=_BASE, timeout=_NO_LIMIT))


@contextlib.asynccontextmanager
async def _private_gateway(settings: Settings) -> AsyncIterator[None]:
    """A gateway that listens on the local socket alone."""
    gateway = Gateway(settings)
    server = Server(create_app(gateway), gateway.admission, settings.server, gateway.give_up)
    async with gateway.running():
        with listening_locally(settings.server.data_path) as local:
            serving = asyncio.create_task(server.serve(sockets=[local]))
            try:
                yield
            finally:
                server.should_exit = True
                await serving


async def transcribe(client: httpx.AsyncClient, file: Path, fields: dict[str, str]) -> AsyncIterator[dict[str, Any]]:
    """The events of one streamed transcription, the last one `transcript.text.done`.

    Raises Refused with what the gateway said, or when it ended meanwhile, and ModelUnavailable while it is starting.
    """
    try:
        async for event in _events(client, file, fields):
            yield event
    except httpx.ConnectError as exc:
        hint = "Try again in a moment; its first start brings the bundled models in."
        raise ModelUnavailable(f"The gateway on this data directory does not answer yet. {hint}") from exc
    except httpx.TransportError as exc:
        told = "The gateway ended before the answer was whole."
        raise Refused({"code": "interrupted", "message": told}) from exc


async def _events(client: httpx.AsyncClient, file: Path, fields: dict[str, str]) -> AsyncIterator[dict[str, Any]]:
    with file.open("rb") as audio:
        form = {**fields, "stream": "true", "timestamp_granularities[]": "word"}
        request = client.stream("POST", "/v1/audio/transcriptions", data=form, files={"file": (file.name, audio)})
        async with request as response:
            if response.is_error:
                await response.aread()
                raise Refused(response.json()["error"])
            async for line in response.aiter_lines():
                if line.startswith(_DATA):
                    yield _event(line.removeprefix(_DATA))


def _event(text: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(text)
    if "error" in event:
        raise Refused(event["error"])
    return event


class Refused(Exception):
    """What the gateway said instead of an answer."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error.get("message"))
        self.message = str(error.get("message"))
        self.code = str(error.get("code"))

"""Servers for the generator to drive, on real sockets in the test's own loop, and outcomes made by hand."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import uvicorn

from gateway.bench.address import Address
from gateway.bench.outcomes import Outcome

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Asgi = Callable[..., Awaitable[None]]


@pytest.fixture
def talking() -> Callable[[Talk], contextlib.AbstractAsyncContextManager[Address]]:
    """A server that says what a test says, byte by byte, to each connection."""

    @contextlib.asynccontextmanager
    async def open_server(talk: Talk) -> AsyncIterator[Address]:
        async def until_done(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.closing(writer), contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await talk(reader, writer)

        server = await asyncio.start_server(until_done, "127.0.0.1", 0)
        async with server:
            yield Address.of_url(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")

    return open_server


@pytest.fixture
def serving() -> Callable[[Asgi], contextlib.AbstractAsyncContextManager[Address]]:
    """An ASGI application on uvicorn."""

    @contextlib.asynccontextmanager
    async def open_server(app: Asgi) -> AsyncIterator[Address]:
        config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        with socket.create_server(("127.0.0.1", 0)) as bound:
            # Without its signal handlers, which are the test run's.
            running = asyncio.create_task(server._serve([bound]))
            try:
                yield Address.of_url(f"http://127.0.0.1:{bound.getsockname()[1]}")
            finally:
                server.should_exit = True
                await running

    return open_server


@pytest.fixture
def outcome() -> Callable[..., Outcome]:
    """One that was due and sent at a time and took so long; whatever else is said."""

    def make(due_s: float, took_s: float, **more: Any) -> Outcome:
        facts = {"due_s": due_s, "sent_s": due_s, "ended_s": due_s + took_s, "audio_s": 2.0}
        return Outcome(**(facts | more))

    return make

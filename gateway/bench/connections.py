"""HTTP/1.1 from the caller's side, as light as it gets: requests are bytes that were made before the run began.

Sharing the cores with the server, a generator must cost little. An upload of 96 kB takes 0.09 ms of a core this way,
and took 0.2 to 0.3 with aiohttp, 1.5 to 2.5 with httpcore and 1.7 to 5 with httpx (16 and 64 clients, a server that
only echoes).
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import Final, NamedTuple, cast

import httptools

from gateway.bench.address import Address
from model_store.errors import ModelUnavailable

MAX_CONNECTIONS: Final = 900  # a process may usually have 1,024 files open
UNREACHABLE: Final = "unreachable"
_CONNECT_S: Final = 10.0


class Response(NamedTuple):
    """An answer of the server, whatever it says."""

    status: int
    body: bytes


class Unanswered(Exception):
    """No answer came; `code` says why: unreachable, connection_lost, answer_unreadable or timeout."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class _Connection(asyncio.Protocol):
    """One connection, which asks one thing at a time."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[Response] | None = None
        self._body: list[bytes] = []
        self._is_open = self._has_heard = False
        self.has_answered = False

    @property
    def is_idle(self) -> bool:
        """Whether it can be asked."""
        return self._is_open and self._answer is None

    async def ask(self, request: bytes, timeout_s: float) -> Response:
        """Raises Unanswered, after which the connection is closed; so it is when this is cancelled."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Response] = loop.create_future()
        self._answer = answer
        self._body, self._has_heard = [], False
        timer = loop.call_later(timeout_s, self._fail, "timeout")
        self._transport.write(request)
        try:
            return await answer
        except BaseException:
            self.close()
            raise
        finally:
            timer.cancel()
            self._answer = None

    def is_stale(self) -> bool:
        """Whether a loss means that the server had hung up before it saw the request, as idle connections end."""
        return self.has_answered and not self._has_heard

    def close(self) -> None:
        """Hang up, whatever is on its way."""
        self._is_open = False
        self._transport.abort()

    def _fail(self, code: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(Unanswered(code))

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._is_open = True

    def data_received(self, data: bytes) -> None:
        self._has_heard = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._is_open = False
            self._fail("answer_unreadable")

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_open = False
        self._fail("connection_lost")

    # httptools' side

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        self.has_answered = True
        self._is_open = self._is_open and self._parser.should_keep_alive()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(Response(self._parser.get_status_code(), b"".join(self._body)))


class Connections:
    """As many connections as there are requests at one moment, kept for the next ones; at most MAX_CONNECTIONS."""

    def __init__(self, address: Address, timeout_s: float) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._room = asyncio.Semaphore(MAX_CONNECTIONS)
        self._idle: list[_Connection] = []
        self._tls = ssl.create_default_context() if address.is_encrypted else None

    async def ask(self, request: bytes) -> Response:
        """The answer to a whole request, head and body; raises Unanswered."""
        async with self._room:
            while True:
                connection = self._kept() or await self._connected()
                try:
                    return await connection.ask(request, self._timeout_s)
                except Unanswered as unanswered:
                    if unanswered.code == "connection_lost" and connection.is_stale():
                        continue
                    raise
                finally:
                    if connection.is_idle:
                        self._idle.append(connection)
                    else:
                        connection.close()

    async def check(self) -> None:
        """Connect once; raises ModelUnavailable where nobody listens."""
        try:
            self._idle.append(await self._connected())
        except Unanswered as exc:
            hint = "`voxgate serve` starts a gateway, `--url` says where a server is."
            raise ModelUnavailable(f"No server answers at {self._address.shown}. {hint}") from exc

    def close(self) -> None:
        """Hang up everywhere."""
        for connection in self._idle:
            connection.close()

    def _kept(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_idle:
                return connection
        return None

    async def _connected(self) -> _Connection:
        loop, to = asyncio.get_running_loop(), self._address
        try:
            async with asyncio.timeout(_CONNECT_S):
                if to.socket:
                    return (await loop.create_unix_connection(_Connection, to.socket))[1]
                return (await loop.create_connection(_Connection, to.host, to.port, ssl=self._tls))[1]
        except OSError as exc:  # TimeoutError and what TLS and resolvers say are among them
            raise Unanswered(UNREACHABLE) from exc


@contextlib.asynccontextmanager
async def connections(address: Address, timeout_s: float) -> AsyncIterator[Connections]:
    """Connections to a server that is there; raises ModelUnavailable where none is."""
    pool = Connections(address, timeout_s)
    try:
        await pool.check()
        yield pool
    finally:
        pool.close()

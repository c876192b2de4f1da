"""Who is inside, and whether anybody may still come in: how the gateway stops without losing a request."""

import asyncio
import contextlib
from contextvars import ContextVar

from litestar.types import ASGIApp, Receive, Scope, Send

from model_store.errors import ShuttingDown

_GUARDED = "/v1/"
# Of the request that runs in this context: it may come to its check only after the gateway was told to stop.
_was_let_in: ContextVar[bool] = ContextVar("was_let_in", default=False)


class Admission:
    """Counts the requests of the doors from their first byte to their last; after `close` it lets nobody in."""

    def __init__(self) -> None:
        self._inside = 0
        self._is_empty = asyncio.Event()
        self._is_empty.set()
        self.is_open = True

    @property
    def inside(self) -> int:
        """Requests that were let in and have not been answered whole."""
        return self._inside

    def check(self) -> None:
        """Raises ShuttingDown for who came after it was closed; who was let in before may finish."""
        if not self.is_open and not _was_let_in.get():
            raise ShuttingDown("This gateway is shutting down; another one may take this request.", retry_after_s=5.0)

    def close(self) -> None:
        """Let nobody in any more."""
        self.is_open = False

    async def emptied(self, timeout_s: float) -> bool:
        """Wait until everybody has left; False when somebody was still inside at the end."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._is_empty.wait(), timeout_s)
        return self._inside == 0

    def around(self, app: ASGIApp) -> ASGIApp:
        """`app`, counted."""

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            if not (self.is_open and scope["path"].startswith(_GUARDED)):
                await app(scope, receive, send)
                return
            self._inside += 1
            self._is_empty.clear()
            let_in = _was_let_in.set(True)
            try:
                await app(scope, receive, send)
            finally:
                _was_let_in.reset(let_in)
                self._inside -= 1
                if not self._inside:
                    self._is_empty.set()

        return counted

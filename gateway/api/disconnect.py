"""A caller who hangs up stops what was started for them; ASGI servers do not see to it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from litestar.types import Receive

T = TypeVar("T")


class ClientGone(Exception):
    """The caller hung up; there is nobody to answer."""


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The outcome of `work`, which is cancelled when the caller hangs up; the request's body must have been read.

    Raises `ClientGone` after the work has ended. Cancelling this cancels the work too.
    """
    limit = asyncio.timeout(None)
    try:
        async with limit:
            listening = asyncio.create_task(_end_when_hung_up(receive, limit))
            try:
                return await work
            finally:
                listening.cancel()
    except TimeoutError as exc:
        if limit.expired():
            raise ClientGone from exc
        raise


async def _end_when_hung_up(receive: Receive, limit: asyncio.Timeout) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    limit.reschedule(asyncio.get_running_loop().time())

"""An answer that is known whole, on its way out."""

from typing import Any, cast

from litestar import Response
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send


class Whole(Response[bytes]):
    """A body and its headers as they are; litestar's own looks through all headers again for each that it adds."""

    def __init__(self, body: bytes, media_type: str, headers: dict[str, str]) -> None:
        super().__init__(body, media_type=media_type, headers=headers)

    def to_asgi_response(self, *_: Any, **__: Any) -> ASGIResponse:
        """Give what litestar calls to send it."""
        return cast(ASGIResponse, self._sent)

    async def _sent(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        facts = {"content-type": str(self.media_type), "content-length": str(len(self.content)), **self.headers}
        headers = [(name.encode(), value.encode()) for name, value in facts.items()]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": self.content, "more_body": False})

"""Where the server under load answers."""

from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from msgspec import Struct

from model_store.errors import OptionInvalid

_PORTS = {"http": 80, "https": 443}


class Address(Struct, frozen=True, kw_only=True):
    """`socket` is the path of a Unix socket, which then takes the place of host and port."""

    shown: str
    host: str
    port: int
    path: str = ""
    is_encrypted: bool = False
    socket: str | None = None

    @classmethod
    def of_url(cls, url: str) -> Self:
        """The address in a URL, with what stands before the routes; raises OptionInvalid."""
        try:
            parts = urlsplit(url)
            port = parts.port or _PORTS[parts.scheme]
        except (KeyError, ValueError) as exc:
            raise _no_address(url) from exc
        if not parts.hostname:
            raise _no_address(url)
        path = parts.path.rstrip("/").removesuffix("/v1")  # what OpenAI's clients call their base URL ends so
        is_encrypted = parts.scheme == "https"
        return cls(shown=url, host=parts.hostname, port=port, path=path, is_encrypted=is_encrypted)

    @classmethod
    def of_socket(cls, path: Path) -> Self:
        """The address of a gateway's local socket."""
        return cls(shown=f"unix:{path}", host="voxgate.local", port=80, socket=str(path))

    @property
    def authority(self) -> str:
        """The value of the header `host`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        is_usual = self.port == _PORTS["https" if self.is_encrypted else "http"]
        return host if is_usual else f"{host}:{self.port}"


def _no_address(url: str) -> OptionInvalid:
    return OptionInvalid(f"{url!r} is no address; it looks like http://127.0.0.1:8080.", param="url")

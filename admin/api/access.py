"""Who may use /admin: who knows the operator's key or, where none is set, who calls from this machine itself.

"From this machine" is the address of the connection's other end, never what a header says of it. A reverse proxy on
this machine makes everybody look local, as does whatever else hands requests on; one that says so in a header is not
trusted, and one that does not say so calls for a key. A connection over a Unix socket has no address and is not local.
"""

import hashlib
import hmac
from ipaddress import IPv6Address, ip_address
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from litestar.connection import ASGIConnection

from model_store.errors import AccessError, KeyInvalid, KeyMissing, NotPermitted

Connection = ASGIConnection[Any, Any, Any, Any]

VARIABLE: Final = "VOXGATE_BOOTSTRAP_KEY"
_FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-real-ip", "via")
_log = structlog.get_logger("voxgate.admin")


class Gate:
    """In front of all of /admin."""

    def __init__(self, key: str | None) -> None:
        # A digest, so that a comparison tells nothing of the key, its length included.
        self._digest = _digest(key) if key is not None else None

    def check(self, connection: Connection) -> None:
        """Raises KeyMissing, KeyInvalid or NotPermitted."""
        try:
            if self._digest is None:
                _check_is_local(connection)
            else:
                _check_key(connection, self._digest)
        except AccessError as refused:
            peer = connection.client.host if connection.client else None
            _log.warning("admin.refused", code=refused.code, peer=peer, path=connection.scope["path"])
            raise


def _check_key(connection: Connection, digest: bytes) -> None:
    scheme, _, said = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not said.strip():
        raise KeyMissing("This address wants the operator's key, as `Authorization: Bearer <key>`.")
    if not hmac.compare_digest(_digest(said.strip()), digest):
        raise KeyInvalid(f"This is not the operator's key; the gateway has it from {VARIABLE}.")


def _check_is_local(connection: Connection) -> None:
    is_local = connection.client is not None and _is_loopback(connection.client.host)
    is_direct = not any(name in connection.headers for name in _FORWARDED)
    # A page that a browser on this machine has open may have its own name lead here, and not a local one.
    is_meant = _is_loopback(_name(connection.headers.get("host", "")))
    if not (is_local and is_direct and is_meant):
        raise NotPermitted(
            f"Without an operator's key, /admin answers on loopback only and to nobody behind a proxy. Set {VARIABLE} "
            "where the gateway runs, and send it as `Authorization: Bearer <key>`."
        )


def _name(host: str) -> str:
    """The name in a Host header, without the port; empty where it is not one."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()

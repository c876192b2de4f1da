"""The HTTP server: its addresses, and how it ends."""

import asyncio
import contextlib
import gc
import hashlib
import os
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import structlog
import uvicorn
from litestar.types import ASGIApp
from uvicorn.protocols.http import httptools_impl

from gateway.admission import Admission
from gateway.settings import ServerSettings
from model_store.errors import OptionInvalid

log = structlog.get_logger()

_MAX_SOCKET_PATH_BYTES = 100  # the kernel allows 108
_BACKLOG = 2048
_GARBAGE_THRESHOLDS = (10_000, 20, 50)
# Of a body that nobody has taken yet, uvicorn reads so much and then stops for a while. At its own 64 KiB, for which it
# has no option, it would stop and go on for every clip of more than two seconds.
vars(httptools_impl)["HIGH_WATER_LIMIT"] = 1 << 18


def local_socket(data_dir: Path) -> Path:
    """Where a gateway on this data directory also listens, for the command on the same machine."""
    path = data_dir / "gateway.sock"
    if len(os.fsencode(path)) <= _MAX_SOCKET_PATH_BYTES:
        return path
    name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"voxgate-{os.getuid()}-{name}.sock"


def address(settings: ServerSettings) -> str:
    """Where callers on this machine find the gateway of these settings: every interface is reached by loopback."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104  (a name, not a bind)
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


@contextlib.contextmanager
def listening(settings: ServerSettings) -> Iterator[socket.socket]:
    """The socket of the address in the settings, bound; raises OptionInvalid when it cannot be."""
    host, port = settings.host, settings.port
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        bound = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as exc:
        reason = exc.strerror or str(exc)
        raise OptionInvalid(f"Cannot listen on {host} port {port}: {reason}.", param="server.port") from exc
    with bound:
        # Connections inherit it. asyncio sets it only on sockets that name their protocol, which these do not, and an
        # answer in two packets would wait 40 ms for the client's delayed acknowledgement of the first.
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield bound


@contextlib.contextmanager
def listening_locally(data_dir: Path) -> Iterator[socket.socket]:
    """The local socket, bound, for this user alone. Call as the owner of the data directory."""
    path = local_socket(data_dir)
    path.unlink(missing_ok=True)  # left by a gateway that was killed; the owner's lock says that none is alive
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(os.fsencode(path))
        path.chmod(0o600)
        bound.listen(_BACKLOG)
        try:
            yield bound
        finally:
            path.unlink(missing_ok=True)


def keep_what_is_there() -> None:
    """What was made for good, code above all, is not looked through again for garbage; and new things less often.

    A request makes some thousands of objects, nearly all of which go with their last reference.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GARBAGE_THRESHOLDS)


class Server(uvicorn.Server):
    """uvicorn, told to stop in two steps: nobody new is let in, and when those inside have left, it ends.

    While it drains it goes on listening, so that newcomers hear ShuttingDown and not a closed port. A second signal
    ends it at once. Who is still inside when the time is up is answered by `give_up`.
    """

    def __init__(
        self, app: ASGIApp, admission: Admission, settings: ServerSettings, give_up: Callable[[], None]
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                # Whoever connects may write these headers, and /admin goes by who connects.
                proxy_headers=False,
                timeout_graceful_shutdown=1,
            )
        )
        self._admission = admission
        self._drain_timeout_s = settings.drain_timeout_s
        self._give_up = give_up
        self._draining: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain; called by uvicorn on SIGTERM and SIGINT, in the main thread."""
        if self._admission.is_open and self.started:
            self._admission.close()
            asyncio.get_running_loop().call_soon_threadsafe(self._begin_to_drain, signal.Signals(sig).name)
        else:
            super().handle_exit(sig, frame)

    def _begin_to_drain(self, signal_name: str) -> None:
        log.info("server.draining", signal=signal_name, inside=self._admission.inside)
        self._draining = asyncio.create_task(self._drain(), name="drain")

    async def _drain(self) -> None:
        is_empty = await self._admission.emptied(self._drain_timeout_s)
        log.info("server.drained", is_empty=is_empty, inside=self._admission.inside)
        if not is_empty:
            self._give_up()
        self.should_exit = True

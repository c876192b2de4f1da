"""Addresses: the public one and the local one."""

import asyncio
import socket
import stat
from pathlib import Path
from typing import Any, cast

import pytest
import uvicorn
from litestar.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from gateway.serving import listening, listening_locally, local_socket
from gateway.settings import ServerSettings
from model_store.errors import OptionInvalid


def test_listening_port_zero_takes_a_free_one() -> None:
    with listening(ServerSettings(port=0)) as bound:
        assert bound.getsockname()[1] > 0


def test_listening_connections_send_small_packets_at_once() -> None:
    with listening(ServerSettings(port=0)) as bound, socket.create_connection(bound.getsockname()[:2]):
        connection, _ = bound.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def hears_all(_scope: Scope, receive: Receive, _send: Send) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def test_serving_reads_a_short_clip_without_a_stop() -> None:
    config = uvicorn.Config(cast(Any, hears_all), log_config=None)
    ours, theirs = socket.socketpair()
    with theirs:
        transport, protocol = await asyncio.get_running_loop().connect_accepted_socket(
            lambda: HttpToolsProtocol(config, ServerState(), {}), ours
        )
        protocol.data_received(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 96044\r\n\r\n" + bytes(96_044))
        assert len(protocol.cycle.body) == 96_044
        assert not protocol.flow.read_paused
        transport.close()


def test_listening_on_a_taken_port_names_it() -> None:
    with listening(ServerSettings(port=0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OptionInvalid, match=str(port)), listening(ServerSettings(port=port)):
            pass


def test_listening_on_an_unknown_host_says_so() -> None:
    with pytest.raises(OptionInvalid, match="no-such-host"), listening(ServerSettings(host="no-such-host.invalid")):
        pass


def test_local_socket_is_for_its_owner_alone_and_goes_with_the_gateway(tmp_path: Path) -> None:
    path = local_socket(tmp_path)
    path.touch()  # left by one that was killed
    with listening_locally(tmp_path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
    assert not path.exists()


def test_local_socket_of_a_deep_directory_still_fits_the_kernel(tmp_path: Path) -> None:
    deep = tmp_path / ("a" * 100)
    assert len(bytes(local_socket(deep))) < 108
    assert local_socket(deep) != local_socket(tmp_path / ("b" * 100))

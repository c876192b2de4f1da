"""Addresses: the public one and the local one."""

import socket
import stat
from pathlib import Path

import pytest

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

"""Frames over a blocking socket: whole, in pieces, cut off, and too large."""

import socket
import threading
from collections.abc import Iterator

import pytest

from model_store.runtime import blocking
from model_store.runtime.messages import HEADER, MAX_FRAME_BYTES, Heartbeat, encode, frame

Sockets = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Sockets]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_receive_two_frames_gives_their_bodies_in_order(pair: Sockets) -> None:
    ours, theirs = pair
    messages = [Heartbeat(1, 2, 3, 0.0, False), Heartbeat(4, 5, 6, 0.5, True)]
    theirs.sendall(b"".join(map(frame, messages)))
    assert [blocking.receive(ours) for _ in messages] == [encode(message) for message in messages]


def test_receive_large_frame_in_pieces_gives_it_whole(pair: Sockets) -> None:
    ours, theirs = pair
    body = bytes(range(256)) * 20_000  # many times what a socket holds
    sender = threading.Thread(target=theirs.sendall, args=(HEADER.pack(len(body)) + body,))
    sender.start()
    assert blocking.receive(ours) == body
    sender.join()


def test_receive_frame_of_no_bytes_gives_no_bytes(pair: Sockets) -> None:
    ours, theirs = pair
    theirs.sendall(HEADER.pack(0))
    assert blocking.receive(ours) == b""


def test_receive_other_side_gone_gives_none(pair: Sockets) -> None:
    ours, theirs = pair
    theirs.close()
    assert blocking.receive(ours) is None


@pytest.mark.parametrize("sent", [1, HEADER.size, HEADER.size + 2])
def test_receive_other_side_gone_within_a_frame_gives_none(pair: Sockets, sent: int) -> None:
    ours, theirs = pair
    theirs.sendall(frame(Heartbeat(1, 2, 3, 0.0, False))[:sent])
    theirs.close()
    assert blocking.receive(ours) is None


def test_receive_connection_reset_gives_none(pair: Sockets) -> None:
    ours, theirs = pair
    ours.sendall(b"unread")
    theirs.close()  # upon unread bytes, which resets the connection
    assert blocking.receive(ours) is None


def test_receive_frame_larger_than_any_gives_none_and_waits_for_nothing(pair: Sockets) -> None:
    ours, theirs = pair
    theirs.sendall(HEADER.pack(MAX_FRAME_BYTES + 1))
    assert blocking.receive(ours) is None

"""Frames over a blocking socket: the side of workers and of the fork server, which run no event loop."""

import socket

from model_store.runtime.messages import HEADER, MAX_FRAME_BYTES


def receive(sock: socket.socket) -> bytes | None:
    """The next frame's body; None once the other side has gone."""
    header = _exactly(sock, HEADER.size)
    if header is None:
        return None
    (size,) = HEADER.unpack(header)
    return _exactly(sock, size) if size <= MAX_FRAME_BYTES else None


def _exactly(sock: socket.socket, size: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < size:
        try:
            part = sock.recv(size - len(parts))
        except ConnectionError:
            return None
        if not part:
            return None
        parts += part
    return bytes(parts)

"""A worker-to-be in a fresh interpreter: imports paddle, then waits to be given a socket and an arena."""

import socket
import sys

from model_store.runtime.messages import to_fork_server
from model_store.runtime.parent import end_with_parent

_MAX_COMMAND_BYTES = 4096


def main() -> None:
    """Wait to be needed; end with the gateway. Arguments: the control socket's descriptor, the gateway's id."""
    descriptor, gateway = map(int, sys.argv[1:])
    end_with_parent(gateway)
    from model_store.engines.choice import preload
    from model_store.runtime.worker import serve

    preload()
    with socket.socket(fileno=descriptor) as control:
        body, descriptors, _, _ = socket.recv_fds(control, _MAX_COMMAND_BYTES, 2)
    if body:
        sock_fd, arena_fd = descriptors
        serve(sock_fd, arena_fd, to_fork_server.decode(body).heartbeat_s)


if __name__ == "__main__":
    main()

"""The process from which workers are forked: it has imported paddle and compiled the search, and run no kernel.

A fork of it is a worker at once, where a fresh interpreter needs seconds, and shares its pages. It obeys the gateway
over one socket, and ends with it. It is single-threaded on purpose: a fork copies no thread but the calling one.
"""

import gc
import os
import selectors
import signal
import socket
import sys

from model_store.runtime.messages import Exited, Ready, Spawn, Spawned, encode, to_fork_server
from model_store.runtime.parent import end_with_parent

_MAX_COMMAND_BYTES = 4096


class ForkServer:
    """Forks on command, reports every worker's end."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._wakeup_read, self._wakeup_write = socket.socketpair()
        self._wakeup_write.setblocking(False)

    def run(self) -> None:
        """Serve until the gateway has gone."""
        signal.set_wakeup_fd(self._wakeup_write.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._control.sendall(encode(Ready()))
        with selectors.DefaultSelector() as ready:
            ready.register(self._control, selectors.EVENT_READ)
            ready.register(self._wakeup_read, selectors.EVENT_READ)
            is_wanted = True
            while is_wanted:
                for key, _ in ready.select():
                    is_wanted &= self._serve(key.fileobj)

    def _serve(self, source: object) -> bool:
        """Handle one readable socket; False once the gateway has gone."""
        if source is self._control:
            return self._spawn()
        self._wakeup_read.recv(4096)
        self._reap()
        return True

    def _spawn(self) -> bool:
        body, descriptors, _, _ = socket.recv_fds(self._control, _MAX_COMMAND_BYTES, 2)
        if not body:
            return False
        command = to_fork_server.decode(body)
        sock_fd, arena_fd = descriptors
        pid = os.fork()
        if pid == 0:
            self._become_worker(sock_fd, arena_fd, command)
        os.close(sock_fd)
        os.close(arena_fd)
        self._control.sendall(encode(Spawned(command.id, pid)))
        return True

    def _become_worker(self, sock_fd: int, arena_fd: int, command: Spawn) -> None:
        from model_store.runtime.worker import serve

        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for sock in (self._control, self._wakeup_read, self._wakeup_write):
            sock.close()
        serve(sock_fd, arena_fd, command.heartbeat_s)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._control.sendall(encode(Exited(pid, os.waitstatus_to_exitcode(status))))


def main() -> None:
    """Import what every worker needs, then serve. Arguments: the control socket's descriptor, the gateway's id."""
    control, gateway = map(int, sys.argv[1:])
    end_with_parent(gateway)
    from model_store.engines.choice import preload
    from model_store.runtime import worker  # noqa: F401  (compiles the search before the first fork)

    preload()
    gc.collect()
    gc.freeze()  # a collection in a worker would write to every shared page it looks at
    ForkServer(socket.socket(fileno=control)).run()


if __name__ == "__main__":
    main()

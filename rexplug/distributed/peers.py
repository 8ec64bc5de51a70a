"""Ends a rank whose peers have exited while it waits for them in a call that does not time out.

A process that waits for a GPU does not notice that another rank died: within a machine NCCL waits until its timeout, half an
hour. So every rank keeps a TCP connection to rank 0, which the operating system closes when a process ends, however it ends
(and drops after a minute if its machine is gone). A rank that sees another one go has some seconds to end by itself, with an
error of its own or because its work is done; then its process is ended.
"""

from __future__ import annotations

import os
import secrets
import selectors
import socket
import sys
import threading
from contextlib import suppress
from typing import Any, NoReturn

from rexplug.distributed.environment import rank, world_size

GRACE_SECONDS = 10.0
"""How long a rank may continue after another one has exited."""
_KEY = "rexplug/peers"
_POLL_SECONDS = 0.5
_KEEPALIVE = {"TCP_KEEPIDLE": 20, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 4}
"""A machine that is switched off closes no connection: the system asks after 20 s, then every 10 s, four times."""


class PeerWatch:
    """Watches the other ranks from a thread of its own, until it is stopped or ends the process."""

    def __init__(self, store: Any, host: str, exit_code: int) -> None:
        """Connect to rank 0, or wait for connections where this is rank 0.

        Args:
            store: torch's store, through which rank 0 publishes its port.
            host: the machine of rank 0.
            exit_code: of this process, if it has to be ended.

        Raises:
            OSError: rank 0 cannot be reached.
        """
        self._exit_code = exit_code
        self._stopped = threading.Event()
        self._selector = selectors.DefaultSelector()
        self._names: dict[Any, str | None] = {}
        """The rank at the other end of a connection; None until it has introduced itself."""
        self._server: socket.socket | None = None
        self._token = b""
        if rank() == 0:
            self._server, self._token = _listen(), secrets.token_hex(16).encode()
            store.set(_KEY, f"{self._server.getsockname()[1]} {self._token.decode()}")
            self._selector.register(self._server, selectors.EVENT_READ)
        else:
            port, token = bytes(store.get(_KEY)).decode().split()
            connection = socket.create_connection((host, int(port)), timeout=30)
            connection.sendall(f"{token} {rank()}".encode())
            self._add(connection, "rank 0")
        # A loader process is a copy of this one, and must not keep its connections open when this one ends.
        os.register_at_fork(after_in_child=self._close)
        self.thread = threading.Thread(target=self._run, name="peers", daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """Stop watching, and let the others see that this rank is gone."""
        self._stopped.set()

    def _add(self, connection: socket.socket, name: str | None) -> None:
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE.items():
            if hasattr(socket, option):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
        self._names[connection] = name
        self._selector.register(connection, selectors.EVENT_READ)

    def _run(self) -> None:
        lost: str | None = None
        while lost is None and not self._stopped.is_set():
            for key, _ in self._selector.select(_POLL_SECONDS):
                if key.fileobj is self._server:
                    with suppress(OSError):
                        self._add(self._server.accept()[0], None)
                else:
                    lost = lost or self._read(key.fileobj)
        if lost is not None and not self._stopped.wait(GRACE_SECONDS):
            _end(lost, self._exit_code)
        self._close()

    def _read(self, connection: Any) -> str | None:
        """Read from a connection; returns the rank that closed it."""
        try:
            data = connection.recv(256)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        if data.startswith(self._token) and self._names[connection] is None:
            self._names[connection] = f"rank {int(data.split()[-1])}"
            return None
        name = self._names.pop(connection)
        self._selector.unregister(connection)
        connection.close()
        return name  # None: not a rank, for instance a port scan

    def _close(self) -> None:
        with suppress(OSError, RuntimeError, ValueError):
            self._selector.close()
        for connection in [*self._names, *([self._server] if self._server else [])]:
            with suppress(OSError):
                connection.close()


def _listen() -> socket.socket:
    if socket.has_dualstack_ipv6():
        with suppress(OSError):
            return socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True, backlog=1024)
    return socket.create_server(("", 0), backlog=1024)


def _end(lost: str, exit_code: int) -> NoReturn:
    with suppress(OSError, ValueError):
        os.write(
            2,
            f"rexplug: {lost} of {world_size()} is gone, so rank {rank()} ends; the same command resumes from the last "
            "checkpoint\n".encode(),
        )
        sys.stdout.flush()
    os._exit(exit_code)

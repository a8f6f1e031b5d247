"""A listener on loopback that serves each connection in a thread of its own."""

import contextlib
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator

from tests.support.ports import LOOPBACK


class Relay(ABC):
    """Accepts connections from its construction on, until `close`: what serving needs is set before.

    Args:
        name: Of its threads.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._listener = socket.create_server((LOOPBACK, 0))
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, name=name, daemon=True).start()

    @property
    def address(self) -> str:
        """``host:port`` for clients."""
        host, port = self._listener.getsockname()
        return f"{host}:{port}"

    def close(self) -> None:
        """Closes all connections."""
        # A close alone does not wake up a thread that waits on the socket.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    @contextlib.contextmanager
    def _known(self, *connections: socket.socket) -> Iterator[None]:
        """Lets `close` end these connections meanwhile."""
        with self._lock:
            self._open.update(connections)
        try:
            yield
        finally:
            with self._lock:
                self._open.difference_update(connections)

    @abstractmethod
    def _serve(self, client: socket.socket) -> None:
        """Serves one connection until its end, and closes it."""

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), name=self._name, daemon=True).start()

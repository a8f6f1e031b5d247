"""TLS in front of a server that has none, as a proxy in front of rivvend would do it."""

import contextlib
import select
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.certificates import Certificate
from tests.support.ports import LOOPBACK, ReservedPort

_CHUNK = 64 * 1024
_PATIENCE_S = 10.0


class TlsTerminator:
    """Takes TLS connections, and hands what comes on them to a port in plain text, and back.

    Each connection has a thread of its own, which goes both ways: OpenSSL's sessions are not for two threads.

    Args:
        port: Of the server behind it, on loopback.
        certificate: What to show.
        client_ca: Clients must show a certificate of this authority (PEM file).
        highest: The highest version of TLS to speak.
    """

    def __init__(
        self,
        port: int,
        certificate: Certificate,
        *,
        client_ca: Path | None = None,
        highest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    ) -> None:
        self.names: list[str | None] = []
        """The name that each client has asked for (SNI), None where it did not."""
        self._target = port
        self._port = ReservedPort()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate.path, certificate.key)
        self._context.maximum_version = highest
        self._context.sni_callback = lambda _, name, __: self.names.append(name)
        if client_ca is not None:
            self._context.verify_mode = ssl.CERT_REQUIRED
            self._context.load_verify_locations(client_ca)
        self._listener: socket.socket | None = None
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []

    @property
    def address(self) -> str:
        """``host:port`` for clients."""
        return self._port.address

    @property
    def connections(self) -> int:
        """Open connections of clients."""
        with self._lock:
            return len(self._open) // 2

    def start(self) -> None:
        """Listens."""
        self._listener = socket.create_server((LOOPBACK, self._port.number), backlog=256)
        self._spawn(self._accept, self._listener)

    def stop(self) -> None:
        """Refuses new connections, and cuts the open ones without a farewell."""
        if self._listener is None:
            return
        # A close alone does not wake up a thread that waits on the socket.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._listener = None
        with self._lock:
            for each in self._open:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(each, socket.SHUT_RDWR)
        threads, self._threads = self._threads, []
        for thread in threads:
            thread.join(_PATIENCE_S)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._port.release()

    def _spawn(self, work: Callable[[socket.socket], None], one: socket.socket) -> None:
        thread = threading.Thread(target=work, args=(one,), name="tls-terminator", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self._spawn(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.callback(client.close)
            client.settimeout(_PATIENCE_S)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # Where the handshake fails, it has told the client why.
            tls = stack.enter_context(self._context.wrap_socket(client, server_side=True))
            server = stack.enter_context(socket.create_connection((LOOPBACK, self._target), _PATIENCE_S))
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._open |= {tls, server}
            try:
                _carry(tls, server)
            finally:
                with self._lock:
                    self._open -= {tls, server}


def _carry(tls: ssl.SSLSocket, server: socket.socket) -> None:
    """Both ways, until the end of either."""
    while True:
        # What OpenSSL has read already is not seen by the system.
        ready = [tls] if tls.pending() else select.select([tls, server], [], [])[0]
        for one, other in ((tls, server), (server, tls)):
            if one not in ready:
                continue
            data = one.recv(_CHUNK)
            if not data:
                return
            other.sendall(data)
        # rivvend holds the second part of an answer back until the first is acknowledged.
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

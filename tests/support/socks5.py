"""A SOCKS5 proxy, which alone knows the way to some addresses."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from tests.support.ports import LOOPBACK
from tests.support.relay import Relay

_ANSWER = struct.pack(">BBBB4sH", 5, 0, 0, 1, bytes(4), 0)
_REFUSAL = struct.pack(">BBBB4sH", 5, 5, 0, 1, bytes(4), 0)


class Socks5(Relay):
    """Relays connections to where the client asks for; without login.

    Args:
        ways: By the port that the client asks for, the port on loopback to connect to instead.
    """

    def __init__(self, ways: Mapping[int, int]) -> None:
        self._ways = dict(ways)
        super().__init__("socks5")

    @property
    def url(self) -> str:
        """What `proxy_url` has to be."""
        return f"socks5://{self.address}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            _version, methods = client.recv(2)
            client.recv(methods)
            client.sendall(b"\x05\x00")
            *_, port = struct.unpack(">BBBB4sH", client.recv(10))
            try:
                broker = socket.create_connection((LOOPBACK, self._ways.get(port, port)))
            except OSError:
                client.sendall(_REFUSAL)
                return
            client.sendall(_ANSWER)
            with broker, self._known(client, broker):
                back = threading.Thread(target=_pour, args=(broker, client), name="socks5", daemon=True)
                back.start()
                _pour(client, broker)
                back.join()


def _pour(origin: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := origin.recv(65536):
            target.sendall(data)
    for each in (origin, target):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)

"""Ports nobody else can take, given by the OS."""

import socket
from types import TracebackType
from typing import Self

LOOPBACK = "127.0.0.1"


class ReservedPort:
    """A TCP port held for a server that is going to listen on it, also while that server is down.

    The socket here is bound but never listens. Linux then gives the port to no automatic bind and no
    outgoing connection, while a server that sets SO_REUSEADDR (the JVM and tokio both do) can still bind it.
    A port that was only looked up and released could be taken before the server starts, or between a kill
    and a restart.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        # After the bind: set before it, an automatic bind may pick a port that is held in the same way.
        self._socket.bind((LOOPBACK, 0))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.number: int = self._socket.getsockname()[1]

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.number}"

    def release(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

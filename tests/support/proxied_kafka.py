"""A Kafka whose clients come through a proxy, which can lose the broker's answers to Produce requests."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable

from tests.support.kafka_broker import KafkaBroker
from tests.support.ports import LOOPBACK, ReservedPort
from tests.support.relay import Relay

_PRODUCE = 0


class ProduceProxy(Relay):
    """Relays connections to a broker, one request at a time.

    Attributes:
        loses: Called with the number of each Produce request (from 1) once the broker has answered it, that is
            with the records stored. True loses the answer: the client's connection is closed instead.

    Args:
        target: Port of the broker on loopback.
    """

    def __init__(self, target: int) -> None:
        self.loses: Callable[[int], bool] = lambda number: False
        self._target = target
        self._produced = 0
        super().__init__("produce-proxy")

    def _serve(self, client: socket.socket) -> None:
        with client:
            try:
                broker = socket.create_connection((LOOPBACK, self._target))
            except OSError:
                return
            with broker, contextlib.suppress(OSError), self._known(client, broker):
                while self._exchange(client, broker):
                    pass

    def _exchange(self, client: socket.socket, broker: socket.socket) -> bool:
        request = _frame(client)
        broker.sendall(request)
        answer = _frame(broker)
        if struct.unpack_from(">h", request, 4) == (_PRODUCE,):
            with self._lock:
                self._produced += 1
                number = self._produced
            if self.loses(number):
                return False
        client.sendall(answer)
        return True


def _frame(connection: socket.socket) -> bytes:
    """One request or answer with its length."""
    head = _exactly(connection, 4)
    return head + _exactly(connection, struct.unpack(">i", head)[0])


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise ConnectionError("closed")
        data += part
    return bytes(data)


class ProxiedKafka(KafkaBroker):
    """A Kafka that can be reached directly and, at `proxy.address`, through a `ProduceProxy`."""

    def __init__(self) -> None:
        super().__init__()
        self._behind = ReservedPort()
        self.proxy = ProduceProxy(self._behind.number)

    @property
    def properties(self) -> dict[str, str | int]:
        direct = super().properties
        protocols = direct["listener.security.protocol.map"]
        return direct | {
            "listeners": f"{direct['listeners']},PROXIED://{self._behind.address}",
            "advertised.listeners": f"{direct['advertised.listeners']},PROXIED://{self.proxy.address}",
            "listener.security.protocol.map": f"{protocols},PROXIED:PLAINTEXT",
        }

    def _release_ports(self) -> None:
        super()._release_ports()
        self._behind.release()
        self.proxy.close()

"""Lies of Kafka in a login: actions for `Tap.fault` on SaslHandshake and SaslAuthenticate, and a broker without an end."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from typing import Any

from tests.support.kafka_tap import KafkaExchange, changed
from tests.support.tap import Action

_LENGTH = struct.Struct(">i")


def mechanisms(names: list[str]) -> Action[KafkaExchange]:
    """The listener offers these."""
    return changed(lambda decoded: setattr(decoded, "mechanisms", names))


def challenge(text: bytes, **others: Any) -> Action[KafkaExchange]:
    """The broker says this in the login, and no error."""

    def change(decoded: Any) -> None:
        decoded.error_code, decoded.error_message, decoded.auth_bytes = 0, None, text
        for name, value in others.items():
            setattr(decoded, name, value)

    return changed(change)


def refusal(text: str) -> Action[KafkaExchange]:
    """The broker refuses the login with these words."""

    def change(decoded: Any) -> None:
        decoded.error_code, decoded.error_message = 58, text

    return changed(change)


def rounds(number: int) -> Action[KafkaExchange]:
    """A challenge of SCRAM that asks for so many rounds."""

    def ask(exchange: KafkaExchange, answer: bytes) -> bytes | None:
        nonce = exchange.body.partition(b",r=")[2].partition(b",")[0]
        return challenge(b"r=%sx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=%d" % (nonce, number))(exchange, answer)

    return ask


class EndlessLogin:
    """A broker for which no step of a login is the last one; all else is what the one at `address` says.

    Attributes:
        address: `host:port` for clients.
        steps: How many it has seen.
    """

    _SASL_AUTHENTICATE = 36

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._broker = (host, int(port))
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"
        self.steps = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Takes no more connections."""
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self._server.accept()[0],), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError, struct.error), client, socket.create_connection(self._broker) as broker:
            ours, theirs = client.makefile("rb"), broker.makefile("rb")
            while True:
                size = ours.read(4)
                request = ours.read(*_LENGTH.unpack(size))
                api, version = struct.unpack_from(">hh", request)
                if api == self._SASL_AUTHENTICATE:
                    self.steps += 1
                    answer = request[4:8] + self._step(version)
                else:
                    broker.sendall(size + request)
                    answer = theirs.read(*_LENGTH.unpack(theirs.read(4)))
                client.sendall(_LENGTH.pack(len(answer)) + answer)

    @staticmethod
    def _step(version: int) -> bytes:
        error, text, lifetime = bytes(2), b"{}", bytes(8)
        if version >= 2:
            return b"\0" + error + b"\0" + bytes([len(text) + 1]) + text + lifetime + b"\0"
        return error + b"\xff\xff" + _LENGTH.pack(len(text)) + text + (lifetime if version else b"")

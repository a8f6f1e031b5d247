"""The reading half of kafka-python's transports, with few system calls, wake-ups and copies."""

from __future__ import annotations

import logging
import socket
import ssl
import sys
import time
from typing import Any

from kafka.errors import KafkaConnectionError, KafkaProtocolError

from rivven_kafka.kafka.buffers import Buffers
from rivven_kafka.kafka.frames import Frames

log = logging.getLogger(__name__)

_WAKE_BYTES = 256 * 1024
"""Of a large field, the loop is woken for this much at a time and not for every segment."""

_TURN_BYTES = 4 * 1024 * 1024
"""After this much the loop looks after its other tasks."""

_TURN_S = 0.1
"""And after this long, where every byte is a field of its own."""


def read_in_bulk(transport: Any, buffers: Buffers) -> None:
    """Lets a transport of kafka-python read with `Frames`; to be called before anything is read.

    Args:
        transport: Whose socket is read.
        buffers: Shared by the transports of one event loop.
    """
    transport._read_from_sock = _Reading(transport, buffers).run


class _Reading:
    """What takes the place of `KafkaTCPTransport._read_from_sock`.

    Args:
        transport: Whose socket is read.
        buffers: Where large fields are read to.
    """

    def __init__(self, transport: Any, buffers: Buffers) -> None:
        self._transport = transport
        self._buffers = buffers
        # Linux only, and of no use under TLS, whose records are read from the socket as they come.
        self._can_wait = sys.platform == "linux" and not isinstance(transport._sock, ssl.SSLSocket)
        self._low_water = 1
        self._pending = getattr(transport._sock, "pending", lambda: 0)

    async def run(self) -> None:
        """Reads until the transport closes or stops reading."""
        transport = self._transport
        frames = Frames(transport._protocol.parser, self._buffers)
        transport._protocol.parser.receive_bytes = frames.responses
        while transport._read and not transport._closed:
            self._wake_at(min(frames.missing, _WAKE_BYTES))
            await transport._net.wait_read(transport._sock)
            bodies, error = self._receive(frames)
            transport.last_read = time.monotonic()
            if bodies:
                try:
                    transport._protocol.data_received(bodies)
                except KafkaProtocolError as wrong:
                    error = wrong
            if error is not None:
                transport.abort(error=error)
                return

    def _wake_at(self, count: int) -> None:
        count = max(count, 1)
        if self._can_wait and count != self._low_water:
            self._transport._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)
            self._low_water = count

    def _receive(self, frames: Frames) -> tuple[list[Any], Exception | None]:
        """Reads what is there; returns the responses that are complete, and why it cannot go on."""
        sock = self._transport._sock
        bodies: list[Any] = []
        left, end = _TURN_BYTES, time.monotonic() + _TURN_S
        try:
            # What OpenSSL has decrypted already would not make the socket readable again.
            while (left > 0 and time.monotonic() < end) or self._pending():
                # No name for the room: a view that lives on would make the frames copy what is in it.
                count = sock.recv_into(frames.room())
                if count == 0:
                    return bodies, KafkaConnectionError("socket disconnected")
                bodies += frames.received(count)
                left -= count
        except (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except KafkaProtocolError as error:
            return bodies, error
        except OSError as error:
            return bodies, KafkaConnectionError(error)
        return bodies, None

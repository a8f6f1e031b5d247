"""Kafka's responses, put together as they arrive: every byte of a record is copied once, out of the socket.

kafka-python reads 4 KiB at a time and copies each byte seven times more before a record is decoded. Here what
is large goes straight from the socket to where it stays.
"""

from __future__ import annotations

import struct
from io import BytesIO
from typing import Any

from kafka.protocol.parser import KafkaProtocol

from rivven_kafka.kafka.buffers import Buffers
from rivven_kafka.kafka.fetch_response import FETCH, NEWEST, Body, Bytes, FetchResponse, Pieces

_STAGE_BYTES = 64 * 1024
_DIRECT_BYTES = 8 * 1024
"""From this size on, a field is read straight into its own buffer."""
_POOLED_BYTES = 256 * 1024
"""From this size on, into one that was used before."""

_INT = struct.Struct(">i")


class Frames:
    """Puts responses together.

    Args:
        parser: Knows which responses are expected, and decodes them.
    """

    def __init__(self, parser: KafkaProtocol) -> None:
        self._parser = parser
        self._stage = memoryview(bytearray(_STAGE_BYTES))
        self._start = self._end = 0
        self._own: BytesIO | None = None
        self._buffers = Buffers()
        self._view = self._stage[:0]
        self._filled = 0
        self._bodies: list[Body] = []
        # Responses that are not decoded yet, so that their requests stand before the next one's.
        self._complete = 0
        self._pieces = self._read()
        self._wanted = next(self._pieces)

    @property
    def missing(self) -> int:
        """Bytes that are still to come for the field being read; 0 where it is a small one."""
        return len(self._view) - self._filled if self._own is not None else 0

    def room(self) -> memoryview:
        """Where the next bytes go: never empty."""
        if self._own is not None:
            return self._view[self._filled :]
        if self._start == self._end:
            self._start = self._end = 0
        elif self._start + self._wanted > len(self._stage):
            left = self._end - self._start
            self._stage[:left] = bytes(self._stage[self._start : self._end])
            self._start, self._end = 0, left
        return self._stage[self._end :]

    def received(self, count: int) -> list[Body]:
        """Takes note of `count` bytes in the room; returns the responses that are complete by now.

        Raises:
            KafkaProtocolError: They are no response.
        """
        if self._own is None:
            self._end += count
        else:
            self._filled += count
            if self._filled < len(self._view):
                return []
            own, self._own = self._own, None
            # Without a view of it, the buffer becomes the value as it is.
            self._view.release()
            self._wanted = self._pieces.send(self._value(own))
        while True:
            there = self._end - self._start
            if self._wanted <= there:
                piece = bytes(self._stage[self._start : self._start + self._wanted])
                self._start += self._wanted
                self._wanted = self._pieces.send(piece)
            elif self._wanted < _DIRECT_BYTES:
                break
            else:
                self._open(there)
                break
        bodies, self._bodies = self._bodies, []
        return bodies

    def _open(self, there: int) -> None:
        if self._wanted >= _POOLED_BYTES:
            own = self._buffers.take(self._wanted)
        else:
            own = BytesIO()
            own.seek(self._wanted - 1)
            own.write(b"\0")
        self._own, self._view, self._filled = own, own.getbuffer()[: self._wanted], there
        self._view[:there] = self._stage[self._start : self._end]
        self._start = self._end = 0

    def _value(self, own: BytesIO) -> Bytes:
        value = own.getvalue()
        if self._filled < _POOLED_BYTES:
            return value
        self._buffers.keep(value)
        return memoryview(value)[: self._filled]

    def _read(self) -> Pieces:
        while True:
            (size,) = _INT.unpack((yield 4))
            self._parser._validate_frame_size(size)
            expected = self._parser.in_flight_requests
            header: Any = expected[self._complete] if self._complete < len(expected) else None
            # One of SASL's early days carries no api key.
            if getattr(header, "request_api_key", None) == FETCH and header.request_api_version <= NEWEST:
                body = yield from FetchResponse(size, header.request_api_version).read()
            else:
                body = Body((yield size))
            self._bodies.append(body)
            self._complete += 1

    def responses(self, bodies: list[Body]) -> list[tuple[int, Any]]:
        """Correlation id and response of each body, in the place of `KafkaProtocol.receive_bytes`."""
        decoded = []
        for body in bodies:
            self._complete -= 1
            correlation_id, response = self._parser._process_response(body)
            body.complete(response)
            decoded.append((correlation_id, response))
        return decoded

"""Kafka's responses, put together as they arrive: every byte of a record is copied once, out of the socket.

kafka-python reads 4 KiB at a time and copies each byte seven times more before a record is decoded. Here what
is large goes straight from the socket to where it stays. Memory follows the bytes that have come, not the
lengths that they claim.
"""

from __future__ import annotations

import struct
from io import BytesIO
from typing import Any

from kafka.errors import InvalidReceiveError
from kafka.protocol.parser import KafkaProtocol

from rivven_kafka.kafka.answers import RECORDLESS_SHARE, decode
from rivven_kafka.kafka.buffers import Buffers
from rivven_kafka.kafka.fetch_response import FETCH, NEWEST, Body, Bytes, FetchResponse, Pieces

_STAGE_BYTES = 64 * 1024
_DIRECT_BYTES = 8 * 1024
"""From this size on, a field is read straight into its own buffer."""
_LEAST_POOLED_BYTES = 256 * 1024
_MOST_POOLED_BYTES = 16 * 1024 * 1024
"""From this size on, and up to this one, into a buffer that was used before."""

_FIRST_BYTES = 1024 * 1024
"""Of a larger one, which doubles as it fills."""

_INT = struct.Struct(">i")


class Frames:
    """Puts responses together.

    Args:
        parser: Knows which responses are expected.
        buffers: Where large fields are read to.
    """

    def __init__(self, parser: KafkaProtocol, buffers: Buffers) -> None:
        self._parser = parser
        self._most_bytes = parser._max_frame_size
        self._most_without_records = self._most_bytes // RECORDLESS_SHARE
        self._stage = memoryview(bytearray(_STAGE_BYTES))
        self._start = self._end = 0
        self._own: BytesIO | None = None
        self._buffers = buffers
        self._view = self._stage[:0]
        self._filled = 0
        self._bodies: list[Body] = []
        # Responses that are not decoded yet, so that their requests stand before the next one's.
        self._complete = 0
        self._pieces = self._read()
        self._wanted = next(self._pieces)

    @property
    def missing(self) -> int:
        """Bytes for which there is room in the buffer of the field being read; 0 where it is a small one."""
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
            if self._filled < self._wanted:
                self._grow()
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
        self._filled = there
        if _is_pooled(self._wanted):
            self._own = self._buffers.take(self._wanted)
            self._view = self._own.getbuffer()[: self._wanted]
        else:
            self._own = BytesIO()
            self._resize(min(self._wanted, max(_FIRST_BYTES, there)))
        self._view[:there] = self._stage[self._start : self._end]
        self._start = self._end = 0

    def _grow(self) -> None:
        # Under an exported view it could not be moved.
        self._view.release()
        self._resize(min(self._wanted, 2 * self._filled))

    def _resize(self, size: int) -> None:
        assert self._own is not None
        self._own.seek(size - 1)
        self._own.write(b"\0")
        self._view = self._own.getbuffer()

    def _value(self, own: BytesIO) -> Bytes:
        value = own.getvalue()
        if not _is_pooled(self._filled):
            return value
        self._buffers.keep(value)
        return memoryview(value)[: self._filled]

    def _read(self) -> Pieces:
        while True:
            (size,) = _INT.unpack((yield 4))
            if not 0 <= size <= self._most_bytes:
                raise InvalidReceiveError(
                    f"a frame length of {size} bytes: expected at most receive_message_max_bytes "
                    f"({self._most_bytes})"
                )
            expected = self._parser.in_flight_requests
            header: Any = expected[self._complete] if self._complete < len(expected) else None
            # One of SASL's early days carries no api key.
            if getattr(header, "request_api_key", None) == FETCH and header.request_api_version <= NEWEST:
                version = header.request_api_version
                body = yield from FetchResponse(size, version, self._most_without_records).read()
            elif size > self._most_without_records:
                raise InvalidReceiveError(
                    f"an answer without records of {size} bytes: expected at most a twelfth of "
                    f"receive_message_max_bytes ({self._most_without_records})"
                )
            else:
                body = Body((yield size))
            self._bodies.append(body)
            self._complete += 1

    def responses(self, bodies: list[Body]) -> list[tuple[int, Any]]:
        """Correlation id and response of each body, in the place of `KafkaProtocol.receive_bytes`."""
        decoded = []
        for body in bodies:
            self._complete -= 1
            correlation_id, response = decode(self._parser, body, self._most_without_records)
            body.complete(response)
            decoded.append((correlation_id, response))
        return decoded


def _is_pooled(size: int) -> bool:
    return _LEAST_POOLED_BYTES <= size <= _MOST_POOLED_BYTES

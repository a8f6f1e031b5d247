"""A fetch response, taken apart while it arrives (protocol guide, "Fetch API").

The records of each partition get a buffer of their own size, which is theirs alone: a slow partition keeps
none of the others' bytes in memory. What is left, without the records, is decoded by kafka-python.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Sequence
from typing import Any

from kafka.errors import KafkaProtocolError
from kafka.protocol.frame import KafkaBytes

FETCH = 1
"""The api key."""

NEWEST = 12
"""The newest version whose layout is known here."""

_FLEXIBLE = 12
_SHORT = struct.Struct(">h")
_INT = struct.Struct(">i")

Bytes = bytes | memoryview
"""A view is one of the beginning of a larger `bytes`."""

Pieces = Generator[int, Bytes, Any]
"""Asks for a number of bytes, and is sent exactly as many."""


class Body(KafkaBytes):  # type: ignore[misc]  # kafka-python is untyped
    """A response as `KafkaProtocol._process_response` reads it.

    Args:
        data: The response, header first; of a fetch response, without its records.
        records: The records of each partition, in order, that `data` lacks.
    """

    def __init__(self, data: Bytes | bytearray, records: Sequence[Bytes | None] | None = None) -> None:
        super().__init__(len(data))
        self[:] = data
        self._records = records

    def complete(self, response: Any) -> None:
        """Gives a decoded fetch response the records that its body lacked."""
        if self._records is None:
            return
        partitions = [partition for topic in response.responses or () for partition in topic.partitions or ()]
        if len(partitions) != len(self._records):
            raise KafkaProtocolError("a fetch response is not of the form that it should have")
        for partition, records in zip(partitions, self._records, strict=True):
            partition.records = records


class FetchResponse:
    """Reads a response field by field, as far as it takes to find the records.

    Args:
        size: Bytes of the response.
        version: Of the response, 0 to `NEWEST`.
        most_without_records: Most bytes that it may have besides records.
    """

    def __init__(self, size: int, version: int, most_without_records: int) -> None:
        self._left = size
        self._version = version
        self._most = most_without_records
        self._rest = bytearray()
        self._records: list[Bytes | None] = []

    def read(self) -> Pieces:
        """Asks for the response's bytes; returns its `Body`.

        Raises:
            KafkaProtocolError: The lengths in it do not fit.
        """
        yield from self._take(4)  # Correlation id.
        yield from self._tags()
        # Throttle time; error and session id.
        yield from self._take(self._since(1, 4) + self._since(7, 6))
        for _ in range((yield from self._size(_INT))):
            yield from self._take((yield from self._size(_SHORT)))  # Topic.
            for _ in range((yield from self._size(_INT))):
                yield from self._partition()
            yield from self._tags()
        yield from self._take(self._left)
        return Body(self._rest, self._records)

    def _partition(self) -> Pieces:
        # Partition, error, high watermark; last stable offset; log start offset.
        yield from self._take(14 + self._since(4, 8) + self._since(5, 8))
        if self._since(4, 1):
            for _ in range((yield from self._size(_INT))):
                yield from self._take(16)  # An aborted transaction: producer id, first offset.
                yield from self._tags()
        yield from self._take(self._since(11, 4))  # Preferred read replica.
        mark = len(self._rest)
        size = yield from self._size(_INT, null=-1)
        if size < 0:
            self._records.append(None)
        else:
            # They are empty in what kafka-python decodes.
            self._rest[mark:] = b"\x01" if self._version >= _FLEXIBLE else bytes(4)
            self._spend(size)
            self._records.append((yield size))
        yield from self._tags()

    def _since(self, version: int, size: int) -> int:
        """`size` bytes, if the response has a field that came with `version`."""
        return size if self._version >= version else 0

    def _take(self, count: int) -> Pieces:
        self._spend(count)
        if len(self._rest) + count > self._most:
            raise KafkaProtocolError(f"a fetch response has more than {self._most} bytes besides records")
        data = yield count
        self._rest += data
        return data

    def _spend(self, count: int) -> None:
        if count > self._left:
            raise KafkaProtocolError("a fetch response is not as long as it says")
        self._left -= count

    def _size(self, form: struct.Struct, null: int = 0) -> Pieces:
        """The length of an array, a string or bytes; `null` for null."""
        if self._version >= _FLEXIBLE:
            size = (yield from self._varint()) - 1
        else:
            (size,) = form.unpack((yield from self._take(form.size)))
        return size if size >= 0 else null

    def _tags(self) -> Pieces:
        """Tagged fields: their number, and of each its tag, size and bytes."""
        if self._version < _FLEXIBLE:
            return
        for _ in range((yield from self._varint())):
            yield from self._varint()
            yield from self._take((yield from self._varint()))

    def _varint(self) -> Pieces:
        value = shift = 0
        while True:
            (byte,) = yield from self._take(1)
            value |= (byte & 0x7F) << shift
            if byte & 0x80 == 0:
                return value
            shift += 7
            if shift > 28:
                raise KafkaProtocolError("a fetch response holds a length of more than 32 bits")

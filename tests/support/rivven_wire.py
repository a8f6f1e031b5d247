"""Rivven's wire protocol in plain Python, as far as a test needs it.

Written apart from the native client on purpose: what one writes, the other must read. One connection, one
request at a time, no reconnects.

A frame is a u32 length, the format byte 0 (postcard), a u32 correlation id and the message, integers
big-endian. postcard encodes an enum as the number of its variant and integers as LEB128 varints.

Source: rivven-protocol 0.0.22, src/lib.rs and src/messages.rs.
"""

import socket
import struct
from dataclasses import dataclass
from types import TracebackType
from typing import Self

_CONSUME, _CREATE_TOPIC, _GET_METADATA, _PING, _GET_OFFSET_BOUNDS, _PUBLISH_BATCH = 5, 6, 11, 13, 14, 38
_MESSAGES, _TOPIC_CREATED, _METADATA, _PONG = 4, 5, 10, 12
_OFFSET_BOUNDS, _ERROR, _PUBLISHED_BATCH = 13, 18, 40
_INIT_PRODUCER_ID, _IDEMPOTENT_PUBLISH_BATCH = 19, 39
_PRODUCER_ID_INITIALIZED, _IDEMPOTENT_PUBLISHED_BATCH = 20, 41
_BEGIN_TRANSACTION, _ADD_PARTITIONS, _TRANSACTIONAL_PUBLISH, _COMMIT_TRANSACTION = 21, 22, 23, 25
_TRANSACTION_STARTED, _PARTITIONS_ADDED, _TRANSACTIONAL_PUBLISHED, _TRANSACTION_COMMITTED = 22, 23, 24, 26
_DELETE_TOPIC, _CREATE_PARTITIONS, _DELETE_RECORDS = 8, 30, 31
_TOPIC_DELETED, _PARTITIONS_CREATED, _RECORDS_DELETED = 7, 32, 33
_NONE = b"\x00"


class RivvenWireError(RuntimeError):
    """An answer that is an error, or none that was asked for."""


@dataclass(frozen=True, slots=True)
class RivvenRecord:
    """One record as rivvend returns it; ``timestamp`` is its own clock in milliseconds."""

    offset: int
    partition: int
    key: bytes | None
    value: bytes
    timestamp: int


def ping(host: str, port: int, timeout: float) -> None:
    """Complete one Ping. Raises OSError while nothing listens there."""
    with RivvenWire(host, port, timeout) as wire:
        wire.ping()


class RivvenWire:
    """One connection to rivvend."""

    def __init__(self, host: str, port: int, timeout: float = 30.0) -> None:
        self._socket = socket.create_connection((host, port), timeout)
        self._correlation_id = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def ping(self) -> None:
        self._ask(_varint(_PING), _PONG)

    def create_topic(self, topic: str, partitions: int) -> None:
        self._ask(_varint(_CREATE_TOPIC) + _text(topic) + _some(_varint(partitions)), _TOPIC_CREATED)

    def delete_topic(self, topic: str) -> None:
        """Delete a topic. rivvend keeps its files: made again, it has its records again."""
        self._ask(_varint(_DELETE_TOPIC) + _text(topic), _TOPIC_DELETED)

    def create_partitions(self, topic: str, partitions: int) -> None:
        """Let a topic grow to this number of partitions."""
        no_assignments = _varint(0)
        request = _varint(_CREATE_PARTITIONS) + _text(topic) + _varint(partitions) + no_assignments
        self._ask(request, _PARTITIONS_CREATED)

    def delete_records(self, topic: str, before: dict[int, int]) -> None:
        """Delete the records before an offset, by partition."""
        pairs = b"".join(_varint(partition) + _varint(offset) for partition, offset in before.items())
        request = _varint(_DELETE_RECORDS) + _text(topic) + _varint(len(before)) + pairs
        self._ask(request, _RECORDS_DELETED)

    def partition_count(self, topic: str) -> int:
        answer = self._ask(_varint(_GET_METADATA) + _text(topic), _METADATA)
        answer.blob()
        return answer.varint()

    def offset_bounds(self, topic: str, partition: int = 0) -> tuple[int, int]:
        """Return the earliest and the next offset."""
        request = _varint(_GET_OFFSET_BOUNDS) + _text(topic) + _varint(partition)
        answer = self._ask(request, _OFFSET_BOUNDS)
        return answer.varint(), answer.varint()

    def publish(self, topic: str, records: list[tuple[bytes | None, bytes]], partition: int = 0) -> int:
        """Append (key, value) pairs and return the offset of the first."""
        leader_epoch = _NONE
        request = _varint(_PUBLISH_BATCH) + _batch(topic, partition, records) + leader_epoch
        answer = self._ask(request, _PUBLISHED_BATCH)
        base_offset, _, count = answer.varint(), answer.varint(), answer.varint()
        if count != len(records):
            raise RivvenWireError(f"{count} of {len(records)} records were stored")
        return base_offset

    def init_producer(self, producer_id: int | None = None) -> tuple[int, int]:
        """Return a new producer id with its epoch, or the next epoch of one."""
        known = _NONE if producer_id is None else _some(_varint(producer_id))
        answer = self._ask(_varint(_INIT_PRODUCER_ID) + known, _PRODUCER_ID_INITIALIZED)
        return answer.varint(), answer.varint()

    def publish_idempotent(
        self,
        topic: str,
        records: list[tuple[bytes | None, bytes]],
        *,
        producer: tuple[int, int],
        sequence: int,
        partition: int = 0,
    ) -> bool:
        """Append (key, value) pairs as ``producer`` (id, epoch); False if they count as duplicates."""
        producer_id, epoch = producer
        numbers = _varint(producer_id) + _varint(epoch) + _varint(2 * sequence)
        leader_epoch = _NONE
        request = _varint(_IDEMPOTENT_PUBLISH_BATCH) + _batch(topic, partition, records)
        answer = self._ask(request + numbers + leader_epoch, _IDEMPOTENT_PUBLISHED_BATCH)
        _base_offset, _partition, _count, duplicate = (answer.varint() for _ in range(4))
        return not duplicate

    def publish_transaction(self, topic: str, values: list[bytes], partition: int = 0) -> None:
        """Append values in one transaction, whose marker takes an offset behind them."""
        producer_id, epoch = self.init_producer()
        producer = _varint(producer_id) + _varint(epoch)
        name = _text(f"tx-{topic}")
        no_timeout = leader_epoch = no_key = _NONE
        self._ask(_varint(_BEGIN_TRANSACTION) + name + producer + no_timeout, _TRANSACTION_STARTED)
        places = _varint(1) + _text(topic) + _varint(partition)
        self._ask(_varint(_ADD_PARTITIONS) + name + producer + places, _PARTITIONS_ADDED)
        place = _text(topic) + _some(_varint(partition))
        for sequence, value in enumerate(values):
            record = place + no_key + _prefixed(value) + producer + _varint(2 * sequence) + leader_epoch
            self._ask(_varint(_TRANSACTIONAL_PUBLISH) + name + record, _TRANSACTIONAL_PUBLISHED)
        self._ask(_varint(_COMMIT_TRANSACTION) + name + producer, _TRANSACTION_COMMITTED)

    def fetch(
        self, topic: str, offset: int = 0, partition: int = 0, max_messages: int = 1000
    ) -> list[RivvenRecord]:
        """Return what one Consume request yields, an empty list at the end of the log."""
        request = _varint(_CONSUME) + _text(topic) + _varint(partition) + _varint(offset)
        # isolation_level and max_wait_ms are left to their defaults.
        answer = self._ask(request + _varint(max_messages) + _NONE + _NONE, _MESSAGES)
        return [answer.record() for _ in range(answer.varint())]

    def read_all(self, topic: str, partition: int = 0) -> list[RivvenRecord]:
        """Return every record from the earliest to the present end of one partition."""
        offset, end = self.offset_bounds(topic, partition)
        records: list[RivvenRecord] = []
        while offset < end:
            page = self.fetch(topic, offset, partition)
            if not page:
                raise RivvenWireError(f"{topic}/{partition} has nothing at {offset} but ends at {end}")
            records += page
            # Not the last offset: after a replayed write-ahead log a page can end on offset 0.
            offset = max(offset, *(record.offset for record in page)) + 1
        return records

    def _ask(self, request: bytes, expected: int) -> "Reader":
        self._correlation_id += 1
        body = struct.pack(">BI", 0, self._correlation_id) + request
        self._socket.sendall(struct.pack(">I", len(body)) + body)
        # rivvend answers in two writes without TCP_NODELAY: delayed acknowledgements cost 44 ms a request.
        # Linux forgets this option by itself, so it is set again every time.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        (length,) = struct.unpack(">I", self._receive(4))
        answer = Reader(self._receive(length)[5:])
        variant = answer.varint()
        if variant == _ERROR:
            raise RivvenWireError(answer.blob().decode())
        if variant != expected:
            raise RivvenWireError(f"expected response variant {expected}, got {variant}")
        return answer

    def _receive(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            part = self._socket.recv(size - len(data))
            if not part:
                raise ConnectionError("rivvend closed the connection")
            data += part
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return bytes(data)


class Reader:
    """Reads postcard values in order."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._data[self._at]
            self._at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def signed(self) -> int:
        zigzag = self.varint()
        return (zigzag >> 1) ^ -(zigzag & 1)

    def blob(self) -> bytes:
        size = self.varint()
        self._at += size
        return self._data[self._at - size : self._at]

    def optional(self) -> bytes | None:
        return self.blob() if self.varint() else None

    def record(self) -> RivvenRecord:
        offset, partition = self.varint(), self.varint()
        record = RivvenRecord(offset, partition, self.optional(), self.blob(), self.signed())
        for _ in range(self.varint()):
            self.blob()
            self.blob()
        return record


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _batch(topic: str, partition: int, records: list[tuple[bytes | None, bytes]]) -> bytes:
    items = b"".join(_optional(key) + _prefixed(value) for key, value in records)
    return _text(topic) + _some(_varint(partition)) + _varint(len(records)) + items


def _some(encoded: bytes) -> bytes:
    return b"\x01" + encoded


def _prefixed(data: bytes) -> bytes:
    return _varint(len(data)) + data


def _text(value: str) -> bytes:
    return _prefixed(value.encode())


def _optional(data: bytes | None) -> bytes:
    return _NONE if data is None else _some(_prefixed(data))

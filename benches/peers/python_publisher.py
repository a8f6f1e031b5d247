"""Kafka -> Rivven by hand: a confluent-kafka consumer, and as good a Rivven publisher as Python allows.

One connection per partition with one request in flight, so that partitions keep their order; an answer is
only waited for when the next request of its partition is ready, so that one thread keeps all connections busy
(threads would take turns for the interpreter lock). Requests are packed by hand, 200 records each. Offsets
are committed after the answers. For events the value is taken for JSON without a look at it, which the
connector does not do.

Arguments: Kafka's address, Rivven's address, Kafka topic, Rivven topic, partitions, records, format.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson
from confluent_kafka import Consumer, TopicPartition

Message = Any
"""confluent_kafka's; its type hints allow for None everywhere."""

Encoder = Callable[[Message], bytes]

_BATCH = 200
_POLL = 10_000
_COMMIT_EVERY_S = 5.0
_PUBLISH_BATCH = b"\x26"
_CREATE_TOPIC = b"\x06"
_ERROR = 18


def varint(number: int) -> bytes:
    """A postcard number."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


_LENGTHS = [varint(number) for number in range(16_384)]


class Connection:
    """One connection with at most one request in flight.

    rivvend answers in two pieces, of which the second waits for the acknowledgement of the first: hence
    TCP_QUICKACK, which the kernel clears again and again.
    """

    def __init__(self, address: str) -> None:
        host, port = address.rsplit(":", 1)
        self._socket = socket.create_connection((host, int(port)))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._waiting = False

    def send(self, payload: bytes) -> None:
        """Sends a request, once the one before is answered."""
        self.settle()
        self._socket.sendall(b"%b\0\0\0\0\1%b" % (struct.pack(">I", len(payload) + 5), payload))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        self._waiting = True

    def settle(self) -> None:
        """Waits for the answer, if there is one to come."""
        if not self._waiting:
            return
        self._waiting = False
        body = self._read(struct.unpack(">I", self._read(4))[0])
        if body[5] == _ERROR:
            raise RuntimeError(f"refused: {body[6:]!r}")

    def _read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self._socket.recv(65_536 if count > 4 else count)
            if not piece:
                raise ConnectionError("closed")
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            data += piece
        return data


def raw(message: Message) -> bytes:
    """The value as it is."""
    return message.value() or b""


def event(dumps: Callable[[Any], bytes], embed: Callable[[bytes], Any]) -> Encoder:
    """The event around the value, as the connector writes it."""

    def encode(message: Message) -> bytes:
        key, topic, partition, offset = message.key(), message.topic(), message.partition(), message.offset()
        metadata: dict[str, Any] = {"position": f"{topic}:{partition}:{offset}"}
        if headers := message.headers():
            metadata["kafka_headers"] = {name: value.decode() for name, value in headers}
        metadata["kafka_timestamp"] = message.timestamp()[1]
        metadata["kafka_partition"] = partition
        if key is not None:
            metadata["kafka_key"] = key.decode()
        metadata["kafka_offset"] = offset
        return dumps(
            {
                "event_type": "record",
                "stream": topic,
                "namespace": "kafka",
                "timestamp": datetime.now(UTC).isoformat(),
                "data": embed(message.value()),
                "metadata": metadata,
            }
        )

    return encode


ENCODERS: dict[str, Encoder] = {
    "raw": raw,
    "event": event(orjson.dumps, orjson.Fragment),
    "event-json": event(lambda value: json.dumps(value, separators=(",", ":")).encode(), json.loads),
}


def run(
    kafka: str, rivven: str, origin: str, target: str, partitions: int, records: int, encode: Encoder
) -> None:
    """Moves the first `records` records."""
    name = target.encode()
    admin = Connection(rivven)
    admin.send(_CREATE_TOPIC + varint(len(name)) + name + b"\1" + varint(partitions))
    admin.settle()
    connections = [Connection(rivven) for _ in range(partitions)]
    head = _PUBLISH_BATCH + varint(len(name)) + name + b"\1"
    heads = [head + varint(partition) for partition in range(partitions)]
    consumer = Consumer(
        {
            "bootstrap.servers": kafka,
            "group.id": f"peer-{target}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "fetch.min.bytes": 1,
            "fetch.message.max.bytes": 4 << 20,
            "queued.min.messages": 200_000,
            "queued.max.messages.kbytes": 256 << 10,
            "check.crcs": False,
        }
    )
    consumer.subscribe([origin])
    lists: list[list[bytes]] = [[] for _ in range(partitions)]
    ends = [0] * partitions
    lengths, count, next_commit = _LENGTHS, 0, time.monotonic() + _COMMIT_EVERY_S

    def flush(partition: int) -> None:
        pieces = lists[partition]
        if pieces:
            size = varint(len(pieces) // 5)
            connections[partition].send(heads[partition] + size + b"".join(pieces) + b"\0")
            pieces.clear()

    def answered() -> list[TopicPartition]:
        for connection in connections:
            connection.settle()
        return [TopicPartition(origin, number, end) for number, end in enumerate(ends) if end]

    while count < records:
        messages: list[Message] = list(consumer.consume(_POLL, 0.1))
        for message in messages:
            if error := message.error():
                raise RuntimeError(str(error))
            partition, key, value = message.partition(), message.key() or b"", encode(message)
            pieces = lists[partition]
            pieces += (b"\1", lengths[len(key)], key, lengths[len(value)], value)
            if len(pieces) == 5 * _BATCH:
                flush(partition)
            ends[partition] = message.offset() + 1
        count += len(messages)
        for partition in range(partitions):
            flush(partition)
        if time.monotonic() >= next_commit:
            next_commit = time.monotonic() + _COMMIT_EVERY_S
            consumer.commit(offsets=answered(), asynchronous=True)
    consumer.commit(offsets=answered(), asynchronous=False)
    consumer.close()


if __name__ == "__main__":
    kafka_, rivven_, origin_, target_, partitions_, records_, format_ = sys.argv[1:]
    run(kafka_, rivven_, origin_, target_, int(partitions_), int(records_), ENCODERS[format_])

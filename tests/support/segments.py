"""The record batches of a Kafka partition as they stand in the broker's own log files."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from tests.support.kafka_broker import KafkaBroker

_CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
_CODEC_BITS = 0x07
_TRANSACTIONAL_BIT = 0x10
# Base offset and length come before what the length counts.
_PREFIX = 12


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """The header of a record batch of magic 2.

    Attributes:
        base_offset: Offset of the first record.
        codec: How the records are compressed.
        transactional: Whether it belongs to a transaction.
        producer_id: Id that Kafka gave to an idempotent producer, else -1.
        producer_epoch: Epoch of that producer, else -1.
        base_sequence: Sequence number of the first record, else -1.
        record_count: Records in the batch.
        size_bytes: Bytes of the batch, header and all.
    """

    base_offset: int
    codec: str
    transactional: bool
    producer_id: int
    producer_epoch: int
    base_sequence: int
    record_count: int
    size_bytes: int


def stored_batches(broker: KafkaBroker, topic: str, partition: int = 0) -> list[StoredBatch]:
    """All batches of a partition, in order; the broker may be running."""
    segments = sorted((broker.data_dir / f"{topic}-{partition}").glob("*.log"))
    assert segments, f"{broker.data_dir} holds no log of {topic}-{partition}"
    return [batch for segment in segments for batch in _batches(segment.read_bytes())]


def _batches(data: bytes) -> Iterator[StoredBatch]:
    """Source: Kafka's protocol guide, "Record batch"."""
    at = 0
    while at < len(data):
        base_offset, length, _, magic = struct.unpack_from(">qiib", data, at)
        assert magic == 2, f"batch of magic {magic}"
        [attributes] = struct.unpack_from(">h", data, at + 21)
        producer_id, epoch, sequence, count = struct.unpack_from(">qhii", data, at + 43)
        yield StoredBatch(
            base_offset=base_offset,
            codec=_CODECS[attributes & _CODEC_BITS],
            transactional=bool(attributes & _TRANSACTIONAL_BIT),
            producer_id=producer_id,
            producer_epoch=epoch,
            base_sequence=sequence,
            record_count=count,
            size_bytes=_PREFIX + length,
        )
        at += _PREFIX + length

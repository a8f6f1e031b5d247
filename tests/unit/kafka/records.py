"""Records and batches that the tests of this folder share, and kafka-python as the oracle."""

from collections.abc import Iterable
from typing import NamedTuple

from hypothesis import strategies as st
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.legacy_records import LegacyRecordBatchBuilder
from kafka.record.memory_records import MemoryRecords
from rivven_kafka._native import BatchReader, RecordBlock

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
LIMITS = (1 << 20, 1 << 30)


class Record(NamedTuple):
    """What a record carries, wherever it stands."""

    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


# Deltas of any two of them fit into 64 bits, as both sides need.
timestamps = st.integers(min_value=-1, max_value=2**62)
# Repetition, so that batches are smaller compressed: otherwise both builders leave them alone.
payloads = (
    st.none() | st.binary(max_size=64) | st.binary(min_size=1, max_size=8).map(lambda piece: piece * 500)
)
header_lists = st.lists(st.tuples(st.text(max_size=10), st.none() | st.binary(max_size=20)), max_size=4)
record_lists = st.lists(
    st.builds(Record, timestamps, payloads, payloads, header_lists), min_size=1, max_size=30
)


def oracle_batch(
    records: Iterable[Record],
    codec: int = 0,
    *,
    base_offset: int = 0,
    producer: tuple[int, int, int] = (-1, -1, -1),
    transactional: bool = False,
) -> bytes:
    """The batch as kafka-python writes it, at `base_offset` (which its checksum does not cover)."""
    builder = DefaultRecordBatchBuilder(2, codec, transactional, *producer, batch_size=1 << 30)
    for offset, record in enumerate(records):
        assert builder.append(offset, *record) is not None
    batch = builder.build()
    batch[:8] = base_offset.to_bytes(8)
    return bytes(batch)


def oracle_messages(records: Iterable[Record], magic: int, codec: int = 0, first_offset: int = 0) -> bytes:
    """The message set as kafka-python writes it."""
    builder = LegacyRecordBatchBuilder(magic, codec, batch_size=1 << 30)
    for offset, record in enumerate(records, first_offset):
        assert builder.append(offset, record.timestamp, record.key, record.value) is not None
    return bytes(builder.build())


def oracle_read(data: bytes) -> list[tuple[int, Record]]:
    """(offset, record) of all batches, as kafka-python reads them."""
    out = []
    batches = MemoryRecords(data)
    while (batch := batches.next_batch()) is not None:
        assert batch.validate_crc()
        out += [(r.offset, Record(r.timestamp, r.key, r.value, r.headers)) for r in batch]
    return out


def native_blocks(
    data: bytes, offset: int = 0, max_records: int = LIMITS[0], **options: object
) -> list[RecordBlock]:
    """All blocks of a fetch response."""
    reader = BatchReader("topic", 0, data, offset, **options)
    blocks = []
    while (block := reader.next_block(max_records, LIMITS[1])) is not None:
        blocks.append(block)
    return blocks


def block_records(block: RecordBlock) -> list[tuple[int, Record]]:
    """(offset, record) of a block, by its columns."""
    columns = (block.timestamps(), block.keys(), block.values(), block.headers())
    rows = [Record(*row) for row in zip(*columns, strict=True)]
    return list(zip(block.offsets(), rows, strict=True))


def native_read(data: bytes, offset: int = 0, **options: object) -> list[tuple[int, Record]]:
    """(offset, record) of all batches, as the native reader reads them."""
    return [pair for block in native_blocks(data, offset, **options) for pair in block_records(block)]

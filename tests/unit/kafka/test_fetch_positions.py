"""Which records a consumer sees and where it goes on, against kafka-python's `Fetcher.PartitionRecords`."""

import struct
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st
from kafka.consumer.fetcher import Fetcher, IsolationLevel
from kafka.record.memory_records import MemoryRecords
from kafka.record.util import calc_crc32c
from kafka.structs import TopicPartition

from .records import CODECS, Record, native_blocks, oracle_batch

PRODUCERS = (1000, 2000, 3000)


def edit(batch: bytes, *, attributes: int = 0, last_delta: int | None = None) -> bytes:
    """`batch` with more attribute bits and another last offset delta."""
    out = bytearray(batch)
    [bits] = struct.unpack_from(">h", out, 21)
    struct.pack_into(">h", out, 21, bits | attributes)
    if last_delta is not None:
        struct.pack_into(">i", out, 23, last_delta)
    struct.pack_into(">I", out, 17, calc_crc32c(memoryview(out)[21:]))
    return bytes(out)


def marker(offset: int, producer: int, *, commit: bool) -> bytes:
    record = Record(0, struct.pack(">hh", 0, int(commit)), bytes(6), [])
    batch = oracle_batch([record], base_offset=offset, producer=(producer, 0, 0), transactional=True)
    return edit(batch, attributes=0x20)


@st.composite
def logs(draw):
    """A log with transactions of several producers and gaps of compaction; and what it has aborted."""
    log, aborted, offset, running = [], [], 0, {}
    for _ in range(draw(st.integers(1, 12))):
        producer = draw(st.sampled_from((-1, *PRODUCERS)))
        if producer in running and draw(st.booleans()):
            first, commit = running.pop(producer), draw(st.booleans())
            log.append(marker(offset, producer, commit=commit))
            if not commit:
                aborted.append((producer, first))
            offset += 1
            continue
        count, gap = draw(st.integers(1, 4)), draw(st.integers(0, 2))
        records = [Record(1, None, b"%d" % (offset + index), []) for index in range(count)]
        batch = oracle_batch(
            records,
            draw(st.sampled_from([*CODECS.values()])),
            base_offset=offset,
            producer=(producer, 0, 0) if producer >= 0 else (-1, -1, -1),
            transactional=producer >= 0,
        )
        log.append(edit(batch, last_delta=count - 1 + gap))
        if producer >= 0:
            running.setdefault(producer, offset)
        offset += count + gap
    return b"".join(log), aborted, offset


@given(log=logs(), committed=st.booleans(), max_records=st.integers(1, 6), data=st.data())
def test_the_same_records_and_positions_as_kafka_python(log, committed, max_records, data):
    response, aborted, end = log
    start = data.draw(st.integers(0, end - 1))
    oracle = Fetcher.PartitionRecords(
        start,
        TopicPartition("topic", 0),
        MemoryRecords(response),
        isolation_level=IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED,
        aborted_transactions=[
            SimpleNamespace(producer_id=producer, first_offset=first) for producer, first in aborted
        ],
    )
    expected = [(record.offset, record.value) for record in oracle.take()]
    blocks = native_blocks(response, start, max_records, read_committed=committed, aborted=aborted)
    seen = [pair for block in blocks for pair in zip(block.offsets(), block.values(), strict=True)]
    assert seen == expected
    assert blocks[-1].next_offset == oracle.next_fetch_offset == end
    positions = [block.next_offset for block in blocks]
    assert positions == sorted(set(positions))
    assert all(len(block) <= max_records for block in blocks)

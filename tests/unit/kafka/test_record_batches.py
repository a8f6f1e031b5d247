"""Record batches against kafka-python's own record classes, in both directions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.record.default_records import DefaultRecordBatch
from rivven_kafka._native import BatchBuilder

from .records import CODECS, Record, native_blocks, native_read, oracle_batch, oracle_read, record_lists


def native_batch(records, codec, **state):
    builder = BatchBuilder(codec)
    for record in records:
        builder.append(*record)
    assert len(builder) == len(records)
    return builder.build(**state)


def compressible(records):
    """`records` and one more, so that a batch is worth compressing whatever the others are."""
    return [*records, Record(0, None, b"x" * 20_000, [])]


@pytest.mark.parametrize("codec", CODECS)
@given(records=record_lists)
def test_kafka_python_reads_what_we_write(codec, records):
    records = compressible(records)
    batch = native_batch(records, codec)
    assert DefaultRecordBatch(batch).compression_type == CODECS[codec]
    assert oracle_read(batch) == list(enumerate(records))


@pytest.mark.parametrize("codec", CODECS)
@given(records=record_lists, base_offset=st.integers(0, 2**62))
def test_we_read_what_kafka_python_writes(codec, records, base_offset):
    records = compressible(records)
    batch = oracle_batch(records, CODECS[codec], base_offset=base_offset)
    assert native_read(batch) == list(enumerate(records, base_offset))


@given(records=record_lists)
def test_an_uncompressed_batch_is_the_same_byte_for_byte(records):
    ours, theirs = native_batch(records, "none"), oracle_batch(records)
    # The leader epoch is the broker's to set: -1 here as in Java, 0 in kafka-python.
    assert ours[:12] + bytes(4) + ours[16:] == theirs


@given(
    records=record_lists, max_records=st.integers(1, 12), codecs=st.lists(st.sampled_from([*CODECS.values()]))
)
def test_blocks_of_any_size_over_batches_of_any_codec(records, max_records, codecs):
    data = b"".join(
        oracle_batch(records, codec, base_offset=index * len(records)) for index, codec in enumerate(codecs)
    )
    blocks = native_blocks(data, max_records=max_records)
    assert all(0 < len(block) <= max_records for block in blocks)
    assert [block.next_offset for block in blocks] == [block.last_offset + 1 for block in blocks]
    assert native_read(data, max_batch_bytes=1 << 24) == list(enumerate(records * len(codecs)))


def test_the_state_of_the_producer_is_written():
    record = Record(1, b"k", b"v", [])
    batch = DefaultRecordBatch(
        native_batch([record], "none", producer_id=2**40, epoch=5, base_sequence=77, transactional=True)
    )
    assert (batch.producer_id, batch.producer_epoch, batch.base_sequence) == (2**40, 5, 77)
    assert batch.is_transactional
    assert batch.validate_crc()


def test_header_names_that_are_not_utf8_survive():
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    batch = native_batch([Record(0, None, None, [(name, None), (name, b"")])], "none")
    assert b"caf\xe9" in batch
    [(_, record)] = native_read(batch)
    assert record.headers == [(name, None), (name, b"")]

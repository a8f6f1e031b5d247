"""What the native classes promise to Python: buffers, errors, blocks."""

import gc

import pytest
from rivven_kafka import errors
from rivven_kafka._native import BatchBuilder, BatchReader, murmur2, partition_for_key

from .records import CODECS, LIMITS, Record, native_blocks, oracle_batch

RECORDS = [Record(i, b"k%d" % i, None if i == 2 else b"v%d" % i, [("h", b"")] * i) for i in range(5)]


def test_any_buffer_is_read_and_outlives_its_owner():
    batch = oracle_batch(RECORDS)
    for data in (bytes(bytearray(batch)), bytearray(batch), memoryview(batch), memoryview(b"." + batch)[1:]):
        [block] = native_blocks(data)
        del data
        gc.collect()
        assert block.keys() == [record.key for record in RECORDS]


def test_a_buffer_may_change_after_it_was_copied():
    data = bytearray(oracle_batch(RECORDS))
    reader = BatchReader("topic", 0, data, 0)
    data[:] = bytes(len(data))
    assert len(reader.next_block(*LIMITS)) == 5


@pytest.mark.parametrize("data", ["text", 7, None, memoryview(bytes(8)).cast("i")])
def test_what_is_not_a_buffer_of_bytes_is_refused(data):
    with pytest.raises((TypeError, BufferError)):
        BatchReader("topic", 0, data, 0)


def test_a_block_tells_about_itself():
    [block] = native_blocks(oracle_batch(RECORDS, base_offset=10))
    assert (block.topic, block.partition, block.leader_epoch) == ("topic", 0, 0)
    assert (block.first_offset, block.last_offset, block.next_offset, len(block)) == (10, 14, 15, 5)
    assert block.size_bytes > 0
    assert block.timestamp_types() == [0] * 5
    assert block.record(-3) == block.record(2) == (12, 2, 0, b"k2", None, [("h", b""), ("h", b"")])
    assert repr(block) == "<RecordBlock topic:0 records=5 next_offset=15>"
    for index in (5, -6):
        with pytest.raises(IndexError):
            block.record(index)


def test_a_slice_is_a_block():
    [block] = native_blocks(oracle_batch(RECORDS, base_offset=10))
    part = block.slice(1, 3)
    assert (part.offsets(), part.next_offset, part.values()) == ([11, 12], 13, [b"v1", None])
    assert block.slice(3, 99).next_offset == 15
    empty = block.slice(2, 2)
    assert (len(empty), empty.first_offset, empty.next_offset) == (0, None, 12)


def test_an_error_names_its_place():
    data = bytearray(oracle_batch(RECORDS) + oracle_batch(RECORDS, base_offset=5))
    data[-1] ^= 1
    reader = BatchReader("topic", 3, data, 0)
    assert len(reader.next_block(*LIMITS)) == 5
    with pytest.raises(errors.CorruptRecordError, match="checksum") as caught:
        reader.next_block(*LIMITS)
    assert (caught.value.topic, caught.value.partition, caught.value.offset) == ("topic", 3, 5)
    assert reader.next_offset == 5
    assert len(native_blocks(data, check_crcs=False)) >= 1


@pytest.mark.parametrize("codec", [codec for codec in CODECS if codec != "none"])
def test_a_bomb_does_not_go_off(codec):
    bomb = oracle_batch([Record(0, None, bytes(4 << 20), [])], CODECS[codec])
    assert len(bomb) < 1 << 19
    with pytest.raises(errors.DecompressionLimitError):
        native_blocks(bomb, max_batch_bytes=1 << 20)


def test_unknown_codecs_and_empty_batches_are_refused():
    with pytest.raises(errors.UnsupportedCodecError):
        BatchBuilder("brotli")
    with pytest.raises(errors.InvalidRequestError):
        BatchBuilder("gzip").build()


def test_murmur2_is_kafkas():
    from hypothesis import given
    from hypothesis import strategies as st
    from kafka.partitioner.default import murmur2 as oracle

    @given(key=st.binary(max_size=100), partitions=st.integers(1, 2**31 - 1))
    def check(key, partitions):
        assert murmur2(key) == oracle(key)
        assert partition_for_key(key, partitions) == (oracle(key) & 0x7FFFFFFF) % partitions

    check()
    with pytest.raises(ValueError, match="at least 1"):
        partition_for_key(b"", 0)

"""Message sets of magic 0 and 1 against kafka-python's own record classes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .records import CODECS, LIMITS, native_blocks, native_read, oracle_messages, oracle_read, record_lists


@pytest.mark.parametrize("magic", [0, 1])
@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4"])
@given(records=record_lists, first_offset=st.integers(0, 2**40))
def test_we_read_what_kafka_python_writes(magic, codec, records, first_offset):
    data = oracle_messages(records, magic, CODECS[codec], first_offset)
    if codec != "none":
        # The broker gives a compressed message the offset of the last one in it.
        last = first_offset + len(records) - 1
        data = last.to_bytes(8) + data[8:]
    expected = [(offset, record._replace(headers=[])) for offset, record in enumerate(records, first_offset)]
    if magic == 0:
        expected = [(offset, record._replace(timestamp=-1)) for offset, record in expected]
    assert native_read(data) == expected
    if magic == 1:
        assert oracle_read(data) == expected


@given(records=record_lists, max_records=st.integers(1, 5))
def test_a_compressed_set_may_be_read_in_parts(records, max_records):
    data = oracle_messages(records, 1, CODECS["gzip"])
    data = (99 + len(records)).to_bytes(8) + data[8:]
    blocks = native_blocks(data, 101, max_records)
    assert [offset for block in blocks for offset in block.offsets()] == list(range(101, 100 + len(records)))
    if blocks:
        assert blocks[-1].next_offset == 100 + len(records)
    assert all(len(block) <= min(max_records, LIMITS[0]) for block in blocks)

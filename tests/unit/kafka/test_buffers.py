"""Buffers are used again, and never while anything that was read into them is still there."""

from hypothesis import given
from hypothesis import strategies as st
from rivven_kafka._native import BatchReader
from rivven_kafka.kafka.buffers import Buffers

from .records import Record, oracle_batch

STEP = 128 * 1024
MIB = 1024 * 1024


def fill(buffers, size, byte):
    """What was read into a buffer that then is kept."""
    own = buffers.take(size)
    with own.getbuffer() as view:
        assert len(view) >= size
        view[:size] = bytes([byte]) * size
    value = own.getvalue()
    buffers.keep(value)
    return memoryview(value)[:size]


def test_a_buffer_that_is_not_used_any_more_is_used_again():
    buffers = Buffers()
    first = id(fill(buffers, MIB, 1).obj)
    again = fill(buffers, MIB - 1000, 2)
    assert id(again.obj) == first
    assert again == b"\2" * (MIB - 1000)


def test_a_small_field_takes_no_large_buffer():
    buffers = Buffers()
    first = id(fill(buffers, 4 * MIB, 1).obj)
    assert id(fill(buffers, MIB, 2).obj) != first


@given(st.lists(st.tuples(st.integers(STEP, 8 * STEP), st.integers(0, 3)), max_size=40))
def test_what_is_still_used_stays_as_it_is(steps):
    buffers, used = Buffers(), {}
    for number, (size, place) in enumerate(steps):
        used[place] = (fill(buffers, size, number), number)
        for view, byte in used.values():
            assert view == bytes([byte]) * len(view)


def test_records_keep_their_buffer():
    raw = oracle_batch([Record(0, b"k", b"v" * 1000, [])])
    buffers = Buffers()
    own = buffers.take(STEP)
    with own.getbuffer() as view:
        view[: len(raw)] = raw
    value = own.getvalue()
    buffers.keep(value)
    reader = BatchReader("t", 0, value, 0, size=len(raw))
    first = id(value)
    del value, own, view
    assert id(fill(buffers, STEP, 255).obj) != first
    block = reader.next_block(10, MIB)
    assert block is not None
    assert reader.next_block(10, MIB) is None
    del reader
    assert id(fill(buffers, STEP, 255).obj) != first
    assert block.values() == [b"v" * 1000]


def test_no_more_than_so_much_is_kept():
    buffers = Buffers()
    views = [fill(buffers, 8 * MIB, number) for number in range(10)]
    kept = [len(value) for value in buffers._kept]
    assert sum(kept) <= 32 * MIB
    assert [view[0] for view in views] == list(range(10))

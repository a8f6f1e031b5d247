"""Blocks made of Python objects."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rivven_kafka._native import block_from_rows

texts = st.none() | st.binary(max_size=30)
header_lists = st.lists(st.tuples(st.text(max_size=8), texts), max_size=4)
row_lists = st.lists(st.tuples(st.integers(0, 2**63 - 1), texts, texts, header_lists), max_size=20)


@given(rows=row_lists)
def test_a_block_holds_the_rows(rows):
    block = block_from_rows("topic", 3, rows)
    columns = (block.timestamps(), block.keys(), block.values(), block.headers())
    assert list(zip(*columns, strict=True)) == rows
    assert block.offsets() == list(range(len(rows)))
    assert (block.topic, block.partition, block.next_offset) == ("topic", 3, len(rows))
    assert block.timestamp_types() == [0] * len(rows)


@pytest.mark.parametrize("timestamp", [-1, -(2**63)])
def test_a_negative_timestamp_is_now(timestamp):
    before = int(time.time() * 1000)
    [made] = block_from_rows("topic", 0, [(timestamp, None, b"v", [])]).timestamps()
    assert before <= made <= int(time.time() * 1000)


@pytest.mark.parametrize(
    "row",
    [
        (0, "text", b"", []),
        (0, None, "text", []),
        (0, None, b"", [("a", "text")]),
        (0, None, b"", [(b"a", b"")]),
        (0, None, b"", [("a",)]),
        (0, None, b""),
        (0.5, None, b"", []),
        (2**63, None, b"", []),
    ],
)
def test_what_is_not_a_row_is_refused(row):
    with pytest.raises((TypeError, ValueError, OverflowError)):
        block_from_rows("topic", 0, [row])


def test_offsets_begin_where_they_are_to():
    block = block_from_rows("topic", 0, [(0, None, b"a", []), (0, None, b"b", [])], first_offset=40)
    assert (block.offsets(), block.next_offset) == ([40, 41], 42)


@given(st.binary(max_size=20))
def test_names_of_headers_may_be_any_bytes(name):
    text = name.decode("utf-8", "surrogateescape")
    assert block_from_rows("topic", 0, [(0, None, b"v", [(text, None)])]).headers() == [[(text, None)]]


def test_a_block_may_have_many_names_of_headers():
    rows = [(0, None, None, [(f"name-{number % 40}", b"%d" % number)] * 2) for number in range(200)]
    assert block_from_rows("topic", 0, rows).headers() == [headers for *_, headers in rows]


def test_rows_and_headers_may_be_any_sequence_and_bytes_may_be_mutable():
    rows = ((0, bytearray(b"key"), bytearray(b"value"), (("a", bytearray(b"b")), ("c", None))),)
    block = block_from_rows("topic", 0, rows)
    assert (block.keys(), block.values()) == ([b"key"], [b"value"])
    assert block.headers() == [[("a", b"b"), ("c", None)]]

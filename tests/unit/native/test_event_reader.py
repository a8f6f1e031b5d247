"""`SourceEvent`s made of blocks hold what the blocks hold, whatever the size of the blocks."""

import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rivven_kafka._events import EventReader, SourceEvent
from rivven_kafka._native import block_from_rows, read_headers
from rivven_kafka.errors import CorruptRecordError

names = st.text("ab\udcff\u00e4", max_size=4)
values = st.one_of(st.none(), st.binary(max_size=20))
headers = st.lists(st.tuples(names, values), max_size=3)
rows = st.lists(st.tuples(st.integers(0, 2**40), values, values, headers), min_size=1, max_size=5)


class Blocks(EventReader):
    def __init__(self, *blocks):
        super().__init__()
        self._blocks = list(blocks)

    def next_block(self):
        return self._blocks.pop(0) if self._blocks else None


def fields(event):
    return event.timestamp_ms, event.key, event.value, event.headers


@given(rows=rows, lengths=st.lists(st.sampled_from([1, 255, 256, 257, 700]), min_size=1, max_size=3))
def test_every_record_becomes_one_event_with_all_that_it_holds(rows, lengths):
    blocks = [
        block_from_rows("t", number, (rows * length)[:length], first_offset=number * 1000)
        for number, length in enumerate(lengths)
    ]
    expected = [
        (number, number * 1000 + index, *rows[index % len(rows)])
        for number, length in enumerate(lengths)
        for index in range(length)
    ]
    found = [(event.partition, event.offset, *fields(event)) for event in Blocks(*blocks)]
    assert found == expected


def test_headers_are_one_list_that_stays_the_same():
    block = block_from_rows("t", 0, [(1, None, b"v", [("a", b"1"), ("a", None)]), (2, None, b"v", [])])
    first, second = Blocks(block)
    assert first.headers is first.headers
    first.headers.append(("b", b"2"))
    assert first.headers == [("a", b"1"), ("a", None), ("b", b"2")]
    assert second.headers == []
    assert second.headers is second.headers
    assert fields(pickle.loads(pickle.dumps(first))) == fields(first)


def test_an_event_is_pickled_with_headers_that_nobody_has_asked_for():
    block = block_from_rows("t", 3, [(1, b"k", b"v", [("a", b"1")])])
    event = pickle.loads(pickle.dumps(next(Blocks(block))))
    assert (event.partition, *fields(event)) == (3, 1, b"k", b"v", [("a", b"1")])


@given(rows=rows, start=st.integers(0, 6), stop=st.integers(0, 7))
def test_columns_hold_the_records_of_a_range(rows, start, stop):
    block = block_from_rows("t", 0, rows, first_offset=7)
    numbers, keys, values, raw = block.columns(start, stop)
    numbers = memoryview(numbers).cast("q").tolist()
    expected = [block.record(index) for index in range(start, min(stop, len(rows)))]
    assert numbers[0::3] == [record[0] for record in expected]
    assert numbers[1::3] == [record[1] for record in expected]
    assert (keys, values) == ([record[3] for record in expected], [record[4] for record in expected])
    unpacked = [read_headers(each or b"", count) for each, count in zip(raw, numbers[2::3], strict=True)]
    assert unpacked == [record[5] for record in expected]


def test_headers_that_lie_are_refused():
    with pytest.raises(CorruptRecordError, match="longer than its record"):
        read_headers(b"\x7e", 1)


json_text = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=6,
).map(json.dumps)


@given(text=json_text, before=st.text(" \n\t\r", max_size=2), after=st.text(" \n\t\r", max_size=2))
def test_data_is_the_parsed_value(text, before, after):
    assert SourceEvent("t", f"{before}{text}{after}".encode()).data == json.loads(text)


@pytest.mark.parametrize(
    "text", ["", " ", "plain", "NaN", "[1, -Infinity]", "{", '{"a": 1} x', "\ufeff1", "[" * 100_000, "1 2"]
)
def test_what_is_no_json_is_text(text):
    assert SourceEvent("t", text.encode()).data == text


def test_what_is_no_text_is_bytes():
    assert SourceEvent("t", b"\xff\xfe1\x00").data == b"\xff\xfe1\x00"
    assert SourceEvent("t", None).data is None

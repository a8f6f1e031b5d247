"""`encode_events` against `SourceEvent.to_dict`, which tells the same fields from Python."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rivven_kafka import SourceEvent
from rivven_kafka._native import block_from_rows, encode_events

texts = st.text(max_size=10).map(str.encode)
values = st.none() | st.integers().map(lambda number: json.dumps({"id": number}).encode()) | texts
header_lists = st.lists(
    st.tuples(st.text(max_size=5), st.none() | texts), max_size=3, unique_by=lambda header: header[0]
)
row_lists = st.lists(st.tuples(st.integers(0, 2**62), st.none() | texts, values, header_lists), max_size=8)
# Fields by which a record is restored to the byte: `to_dict` has the value itself.
RESTORING = {"kafka_value_encoding", "kafka_value_padding", "kafka_header_list"}


def parsed(events):
    documents = [json.loads(event) for event in events]
    for document in documents:
        del document["timestamp"]
        document["metadata"] = {
            name: value for name, value in document["metadata"].items() if name not in RESTORING
        }
    return documents


@given(rows=row_lists)
def test_events_have_the_fields_of_to_dict(rows):
    expected = []
    for offset, (timestamp, key, value, headers) in enumerate(rows, 40):
        event = SourceEvent(
            "orders",
            value,
            key=key,
            headers=headers,
            partition=3,
            offset=offset,
            timestamp_ms=timestamp,
        ).to_dict()
        del event["timestamp"]
        expected.append(event)
    assert parsed(encode_events(block_from_rows("orders", 3, rows, first_offset=40))) == expected


@pytest.mark.parametrize(
    ("option", "field"), [("include_headers", "kafka_headers"), ("include_key", "kafka_key")]
)
def test_headers_and_keys_are_left_out(option, field):
    block = block_from_rows("orders", 3, [(0, b"key", b"1", [("a", b"b")])])
    (with_all,) = parsed(encode_events(block))
    (without,) = parsed(encode_events(block, **{option: False}))
    del with_all["metadata"][field]
    assert without == with_all


@pytest.mark.parametrize("count", [2, 16, 17, 40])
@pytest.mark.parametrize("repeated", [[], [0], [0, -2]])
def test_any_number_of_headers_is_told(count, repeated):
    headers = [(f"h{index}", b"%d" % index) for index in range(count)]
    for index in repeated:
        headers[index] = headers[-1][0], headers[index][1]
    [document] = map(json.loads, encode_events(block_from_rows("orders", 3, [(0, None, b"1", headers)])))
    texts = [[name, value.decode()] for name, value in headers]
    assert list(document["metadata"]["kafka_headers"].items()) == [
        tuple(text)
        for index, text in enumerate(texts)
        if text[0] not in {name for name, _ in texts[index + 1 :]}
    ]
    assert document["metadata"].get("kafka_header_list") == (texts if repeated else None)


@pytest.mark.parametrize("place", [1, 2, 30])
def test_headers_that_are_no_text_are_told_once_more(place):
    # As a name a lone byte is a surrogate.
    headers = [(f"h{index}", b"") for index in range(place)]
    for odd in [("\udcff", b""), ("odd", b"\xff")]:
        block = block_from_rows("orders", 3, [(0, None, b"1", [*headers, odd])])
        [document] = map(json.loads, encode_events(block))
        assert {"base64": "/w=="} in document["metadata"]["kafka_header_list"][-1]


def test_many_headers_take_no_longer_than_they_are_many():
    headers = [(f"{index:x}", None) for index in range(80_000)]
    block = block_from_rows("orders", 3, [(0, None, b"1", headers)])
    began = time.process_time()
    encode_events(block)
    assert time.process_time() - began < 3

"""Dead letters: every record has one, whatever is in it."""

import base64
import json
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rivven_kafka._native import block_from_rows
from rivven_kafka.pipeline.letter import envelope, parse

RIVVEN_TAKES = 10_480_000


@dataclass
class Bad:
    value: bytes | None = b"v"
    key: bytes | None = None
    headers: list = field(default_factory=list)
    topic: str = "orders"
    partition: int = 3
    offset: int = 42
    timestamp: int = 7
    reason: str = "why"


@given(
    st.none() | st.binary(),
    st.none() | st.binary(),
    st.lists(
        st.tuples(
            st.binary().map(lambda name: name.decode("utf-8", "surrogateescape")), st.none() | st.binary()
        )
    ),
)
def test_a_letter_holds_the_record(value, key, headers):
    stored_key, text = envelope(Bad(value, key, headers), "in", "copy")
    assert stored_key == key
    letter = json.loads(text)
    decoded = [
        None if text is None else base64.b64decode(text)
        for text in (letter["payload_b64"], letter["key_b64"])
    ]
    assert decoded == [value, key]
    assert [None if text is None else base64.b64decode(text) for _, text in letter["headers"]] == [
        v for _, v in headers
    ]
    assert letter["position"] == "orders:3:42"
    # Readers refuse halves of characters.
    for name, _ in letter["headers"]:
        name.encode()
    read = parse(stored_key, text)
    assert (read.value, read.key, read.headers, read.timestamp) == (value, key, headers, 7)
    assert (read.position, read.connector, read.original_topic) == (("orders", 3, 42), "in", "copy")
    assert (read.reason, read.retry_count, read.omitted, read.notes) == ("why", 0, False, ())
    later = parse(*read.again("still"))
    assert (later.value, later.key, later.headers, later.position) == (value, key, headers, read.position)
    assert (later.reason, later.retry_count) == ("still", 1)
    assert later.written >= read.written


def test_a_record_that_is_too_large_for_a_letter_is_named_in_one():
    for bad in (
        Bad(bytes(8_000_000)),
        Bad(b"v", bytes(9_000_000)),
        Bad(b"v", None, [("h", bytes(9_000_000))]),
    ):
        key, letter = envelope(bad, "in", "copy")
        assert key is None
        assert len(letter) < 1_000
        parsed = json.loads(letter)
        assert (parsed["payload_b64"], parsed["key_b64"], parsed["headers"]) == (None, None, [])
        assert parsed["error"].startswith("why; the record is too large for a letter")
        read = parse(key, letter)
        assert (read.omitted, read.reason) == (True, "why")
        assert parse(*read.again("why")).omitted
    _, fits = envelope(Bad(bytes(7_000_000), bytes(100_000)), "in", "copy")
    assert json.loads(fits)["payload_b64"] is not None
    assert len(fits) + 100_000 < RIVVEN_TAKES


def test_a_letter_of_rivven_connect_lacks_what_it_lacks():
    letter = {
        "original_topic": "orders",
        "connector_name": "in",
        "payload_b64": "eyJhIjoxfQ==",
        "error": "Failed to publish",
        "retry_count": 3,
        "timestamp": "2026-01-31T12:00:00.123456789Z",
    }
    read = parse(None, json.dumps(letter).encode())
    assert (read.value, read.key, read.headers, read.position) == (b'{"a":1}', None, [], None)
    assert (read.timestamp, read.retry_count, read.written.year) == (-1, 3, 2026)
    assert read.notes == ("the letter has no key, headers, timestamp, position",)


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"text",
        b"[]",
        b"{}",
        b'{"connector_name": "in", "original_topic": "t"}',
        b'{"connector_name": "in", "original_topic": "t", "payload_b64": "?"}',
        b'{"connector_name": "in", "original_topic": "t", "payload_b64": null, "position": "t"}',
        b'{"connector_name": 1, "original_topic": "t", "payload_b64": null}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_letter_is_not_taken_for_one(value):
    assert parse(None, value) is None


@pytest.mark.parametrize(
    ("field", "value", "is_one"),
    [
        ("record_timestamp", 2**63 - 1, True),
        ("record_timestamp", 2**63, False),
        ("record_timestamp", -(2**63), True),
        ("record_timestamp", -(2**63) - 1, False),
        ("record_timestamp", float("inf"), False),
        ("record_timestamp", float("nan"), False),
        ("retry_count", float("inf"), False),
        ("position", f"t:{2**31 - 1}:{2**63 - 2}", True),
        ("position", f"t:{2**31}:0", False),
        ("position", f"t:0:{2**63 - 1}", False),
        ("position", "t:-1:0", False),
        ("position", "t:0:-1", False),
        ("position", 5, False),
        ("position", "\ud800:0:1", False),
        ("original_topic", "\udcff", False),
        ("error", "\ud800", False),
        ("of somebody else", "\ud800", False),
        ("headers", [["\ud800", "eA=="]], False),
        ("headers", [["\U0001f600", "eA=="]], True),
        ("headers", [["a"]], False),
    ],
)
def test_one_odd_letter_does_not_stop_those_behind_it(field, value, is_one):
    letter = {"original_topic": "t", "connector_name": "in", "payload_b64": "eA==", "position": "t:0:5"}
    read = parse(None, json.dumps(letter | {field: value}).encode())
    assert (read is not None) == is_one
    if read is not None:
        # Whatever is taken for a letter can be sent, and written again.
        block = block_from_rows(
            *read.position[:2],
            [(read.timestamp, read.key, read.value, read.headers)],
            first_offset=read.position[2],
        )
        assert block.next_offset == read.position[2] + 1
        assert parse(*read.again("why")).position == read.position

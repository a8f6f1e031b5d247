"""Dead letters: every record has one, whatever is in it."""

import base64
import json
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st
from rivven_kafka.pipeline.dead_letters import envelope

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
    letter = json.loads(envelope(Bad(value, key, headers), "in", "copy"))
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


def test_a_record_that_is_too_large_for_a_letter_is_named_in_one():
    for bad in (
        Bad(bytes(8_000_000)),
        Bad(b"v", bytes(9_000_000)),
        Bad(b"v", None, [("h", bytes(9_000_000))]),
    ):
        letter = envelope(bad, "in", "copy")
        assert len(letter) < 1_000
        parsed = json.loads(letter)
        assert (parsed["payload_b64"], parsed["key_b64"], parsed["headers"]) == (None, None, [])
        assert parsed["error"].startswith("why; the record is too large for a letter")
    fits = envelope(Bad(bytes(7_000_000), bytes(100_000)), "in", "copy")
    assert json.loads(fits)["payload_b64"] is not None
    assert len(fits) + 100_000 < RIVVEN_TAKES

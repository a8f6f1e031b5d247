"""What exactly-once delivery keeps in the metadata of a commit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rivven_kafka.errors import ConfigError
from rivven_kafka.pipeline.anchors import MAX_METADATA_BYTES, Commitment


@given(
    st.builds(
        Commitment,
        topic_id=st.from_regex(r"[A-Za-z0-9_-]{22}", fullmatch=True),
        topic=st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,254}", fullmatch=True),
        value_format=st.sampled_from(["event", "raw"]),
        anchors=st.dictionaries(st.integers(0, 999), st.integers(0, 2**63 - 1), max_size=50),
        identity=st.integers(0, 2**64 - 1),
        connections=st.integers(0, 100),
    )
)
def test_what_is_committed_is_read_again(commitment):
    text = commitment.dump()
    assert len(text.encode()) <= MAX_METADATA_BYTES
    assert Commitment.load(text) == commitment


def test_who_has_let_go_is_not_named():
    commitment = Commitment.of("i" * 22, "to", [("to", 3, 17)], "raw", None, 64)
    assert Commitment.load(commitment.dump()) == Commitment("i" * 22, "to", "raw", {3: 17}, None, 0)


@given(
    st.text()
    | st.sampled_from(["", "{}", "[]", "null", '{"rivven-kafka":2}', '{"rivven-kafka":1,"id":"x","to":"y"}'])
)
def test_other_metadata_is_none_of_ours(text):
    assert Commitment.load(text) is None


def test_more_partitions_than_fit_are_refused_before_their_offsets_have_grown():
    def dump(partitions):
        anchors = [("to", number, 0) for number in range(partitions)]
        return Commitment.of("i" * 22, "to", anchors, "event", 7, 64).dump()

    dump(200)
    with pytest.raises(
        ConfigError, match=r"exactly_once with 300 Rivven partitions: their offsets take up to"
    ):
        dump(300)

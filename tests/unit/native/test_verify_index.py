"""Whatever is done to a list of events, `VerifyIndex` names the first record that is concerned."""

import hashlib
import json
import struct
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rivven_kafka._native import VerifyIndex, block_from_rows, encode_events
from rivven_kafka.errors import ConfigError

TOPIC = "orders"
HEADERS = [("h", b"1"), ("h", None), ("ä", b"\xff")]
KAFKA_OFFSET = 1000  # not where a segment begins


def rows(count, first=KAFKA_OFFSET):
    return [
        (1_700_000_000_000 + n, None if n % 5 == 4 else b"k%d" % (n % 3), b'{"n": %d}' % n, HEADERS[: n % 4])
        for n in range(first, first + count)
    ]


def kafka_block(count, first=KAFKA_OFFSET):
    return block_from_rows(TOPIC, 2, rows(count, first), first_offset=first)


def index_of(count, first=KAFKA_OFFSET, **options):
    return VerifyIndex("copy", [(TOPIC, 2, first, first + count, False)], {TOPIC: None}, **options)


def stored(block):
    """What a source writes for a block: keys and values of Rivven records."""
    return list(zip(block.keys(), encode_events(block), strict=True))


def rivven_block(records, partition=0):
    return block_from_rows("copy", partition, [(0, key, value, []) for key, value in records])


def found(index):
    counts = index.counts(TOPIC, 2)
    return {name: counts[name] for name in ("missing", "extra", "doubled", "out_of_order")}


def digest_of(offset, row):
    """The digest of a record as docs/verify.md has it."""
    timestamp, key, value, headers = row

    def text(data):
        return struct.pack(">i", -1) if data is None else struct.pack(">i", len(data)) + data

    form = struct.pack(">qqB", offset, timestamp, 0) + text(key) + text(value)
    form += struct.pack(">I", len(headers))
    form += b"".join(text(name.encode()) + text(data) for name, data in headers)
    return int.from_bytes(hashlib.sha256(form).digest()[:16], "big")


def test_the_digest_is_the_documented_one():
    index = index_of(3000)
    index.feed_kafka(kafka_block(3000))
    wanted = sum(digest_of(KAFKA_OFFSET + n, row) for n, row in enumerate(rows(3000))) % 2**128
    assert index.digests(TOPIC, 2) == (f"{wanted:032x}", "0" * 32)
    index.feed_rivven(rivven_block(stored(kafka_block(3000))))
    assert index.digests(TOPIC, 2) == (f"{wanted:032x}", f"{wanted:032x}")
    assert found(index) == {"missing": 0, "extra": 0, "doubled": 0, "out_of_order": 0}


@given(
    count=st.integers(1, 40),
    edits=st.lists(
        st.tuples(st.sampled_from(["drop", "double", "move", "alter"]), *[st.integers(0, 1 << 20)] * 2),
        max_size=4,
    ),
    pieces=st.integers(1, 10),
)
def test_any_edit_is_found(count, edits, pieces):
    """Against a model in Python: which offsets are where, and with what contents."""
    records = stored(kafka_block(count))
    log = [(KAFKA_OFFSET + n, *record, True) for n, record in enumerate(records)]
    for kind, one, other in edits:
        if not log:
            break
        one %= len(log)
        if kind == "drop":
            del log[one]
        elif kind == "double":
            log.insert(other % (len(log) + 1), log[one])
        elif kind == "move":
            log.insert(other % len(log), log.pop(one))
        else:
            offset, key, value, _ = log[one]
            log[one] = offset, key, value.replace(b'"n": ', b'"m": '), False
    index = index_of(count)
    kafka = kafka_block(count)
    for start in range(0, count, pieces):
        index.feed_kafka(kafka.slice(start, start + pieces))
    rivven = rivven_block([(key, value) for _, key, value, _ in log])
    for start in range(0, len(log), pieces):
        index.feed_rivven(rivven.slice(start, start + pieces))

    wanted = range(KAFKA_OFFSET, KAFKA_OFFSET + count)
    copies = Counter(offset for offset, *_ in log)
    firsts, late, seen, highest = {}, [], set(), -1
    for offset, _, _, sound in log:
        if offset not in seen:
            firsts[offset] = sound
            seen.add(offset)
            late += [offset] if offset < highest else []
            highest = max(highest, offset)
    missing = [offset for offset in wanted if not copies[offset]]
    doubled = [offset for offset in wanted if copies[offset] > 1]
    assert found(index) == {
        "missing": len(missing),
        "extra": 0,
        "doubled": sum(copies[offset] - 1 for offset in doubled),
        "out_of_order": len(late),
    }
    assert index.lowest(TOPIC, 2) == (min(missing, default=None), None)
    first_doubled, first_late = index.first_doubled(TOPIC, 2), index.first_out_of_order(TOPIC, 2)
    assert (first_doubled and first_doubled[0]) == min(doubled, default=None)
    assert (first_late and first_late[0][0]) == min(late, default=None)
    altered = {offset for offset, sound in firsts.items() if not sound}
    segments = {offset // VerifyIndex.SEGMENT for offset in altered | set(missing)}
    assert index.differing(TOPIC, 2) == sorted(segments)
    digests = {offset: digest for _, offset, digest in index.kafka_digests(kafka)}
    there = {}
    for _, offset, digest in index.rivven_digests(rivven, TOPIC, 2):
        there.setdefault(offset, digest)
    assert {offset for offset in there if there[offset] != digests[offset]} == altered


@pytest.mark.parametrize(
    ("old", "new", "flaw"),
    [
        (b'"kafka_offset":1003', b'"kafka_offset":1004', "metadata.kafka_offset"),
        (b'"kafka_partition":2', b'"kafka_partition":3', "metadata.kafka_partition"),
        (b'"kafka_key":"k1"', b'"kafka_key":"k2"', "metadata.kafka_key"),
        (b'"stream":"orders"', b'"stream":"other"', "stream"),
        (b'"event_type":"record"', b'"event_type":"insert"', "event_type"),
        (b'"namespace":"kafka"', b'"namespace":null', "namespace"),
        (b'"event_type":', b'"type":', "event"),
        (b'"kafka_timestamp":1700000001003', b'"kafka_timestamp":1700000001004', None),
        (b'"n": 1003', b'"n": 1004', None),
        (b'["h",null]', b'["h",""]', None),
        (b'["h","1"],["h",null]', b'["h",null],["h","1"]', None),
    ],
)
def test_every_part_of_an_event_counts(old, new, flaw):
    block = kafka_block(1, 1003)
    [(key, event)] = stored(block)
    assert old in event
    index = index_of(1, 1003)
    index.feed_kafka(block)
    changed = rivven_block([(key, event.replace(old, new))])
    index.feed_rivven(changed)
    assert index.differing(TOPIC, 2) == [0]
    assert found(index) == {"missing": 0, "extra": 0, "doubled": 0, "out_of_order": 0}
    assert index.stored(changed, 0)[5] == flaw


def test_a_changed_key_of_the_rivven_record_counts():
    block = kafka_block(1)
    [(_, event)] = stored(block)
    index = index_of(1)
    index.feed_kafka(block)
    index.feed_rivven(rivven_block([(b"other", event)]))
    assert index.differing(TOPIC, 2) == [0]


def test_what_comes_from_elsewhere_is_foreign():
    index = VerifyIndex("copy", [(TOPIC, 2, 0, 2000, False)], {TOPIC: "A" * 22})
    event = stored(kafka_block(1))[0][1]
    old = event.replace(b'"metadata":{', b'"metadata":{"kafka_topic_id":"' + b"B" * 22 + b'",')
    other = event.replace(b"orders:2:1000", b"orders:7:1000")
    index.feed_rivven(
        rivven_block([(None, b"text"), (None, b"{}"), (None, old), (None, other), (b"k1", event)])
    )
    assert index.foreign == 4
    assert index.counts(TOPIC, 2)["records_rivven"] == 1


def test_transforms_and_options_are_those_of_the_source():
    steps = [
        {"type": "filter", "config": {"field": "data.n", "equals": "1001"}},
        {"type": "add_field", "config": {"field": "data.seen", "value": True}},
    ]
    index = index_of(3, transforms=json.dumps(steps), include_headers=False)
    block = kafka_block(3)
    index.feed_kafka(block)
    _, (key, event), _ = [(key, value) for key, value in stored(block)]
    # Written as a transform writes it; headers do not matter here.
    event = event.replace(b'{"n": 1001}', b'{"n": 1001,"seen":true}').replace(b'["h",null]', b'["h","x"]')
    index.feed_rivven(rivven_block([(key, event)]))
    assert index.counts(TOPIC, 2)["left_out"] == 2
    assert index.differing(TOPIC, 2) == []
    assert index.expected(block, 1)[3] == b'{"n": 1001,"seen":true}'


def test_with_preserve_an_event_has_its_partition():
    block = kafka_block(4)
    events = stored(block)
    preserved, by_key = index_of(4, partitioning="preserve"), index_of(4, partitioning="key")
    for index in (preserved, by_key):
        index.feed_kafka(block)
        index.feed_rivven(rivven_block(events[::2], 2))
        index.feed_rivven(rivven_block(events[1::2], 1))
        assert index.differing(TOPIC, 2) == []
        assert set(found(index).values()) == {0}
    assert preserved.counts(TOPIC, 2)["misplaced"] == 2
    assert preserved.first_misplaced(TOPIC, 2) == (1001, 1, 0)
    assert by_key.counts(TOPIC, 2)["misplaced"] == 0
    assert by_key.first_misplaced(TOPIC, 2) is None
    with pytest.raises(ConfigError, match='partitioning: got "other": expected preserve or key'):
        index_of(4, partitioning="other")


@pytest.mark.parametrize("compacted", [False, True])
def test_what_the_source_leaves_out_is_extra_and_not_compacted_away(compacted):
    steps = [{"type": "filter", "config": {"field": "data.n", "equals": "1001"}}]
    index = VerifyIndex(
        "copy", [(TOPIC, 2, 1000, 1003, compacted)], {TOPIC: None}, transforms=json.dumps(steps)
    )
    block = kafka_block(3)
    index.feed_kafka(block)
    index.feed_rivven(rivven_block(stored(block)))
    counts = index.counts(TOPIC, 2)
    assert (counts["left_out"], counts["extra"], counts["compacted_away"]) == (2, 2, 0)
    assert [index.leaves_out(TOPIC, 2, offset) for offset in (1000, 1001, 1002, 5000)] == [
        True,
        False,
        True,
        False,
    ]


def test_in_a_compacted_partition_rivven_may_have_more():
    index = VerifyIndex("copy", [(TOPIC, 2, 1000, 1010, True)], {TOPIC: None})
    whole = kafka_block(10)
    index.feed_kafka(whole.slice(5, 10))
    index.feed_rivven(rivven_block(stored(whole)))
    counts = index.counts(TOPIC, 2)
    assert (counts["compacted_away"], counts["extra"], counts["records_rivven"]) == (5, 0, 5)
    assert index.differing(TOPIC, 2) == []


def test_the_order_of_keys_is_enough_where_the_source_promises_no_more():
    block = kafka_block(3)
    one, two, three = stored(block)
    by_key, by_partition = index_of(3, ordering="key"), index_of(3)
    for index in (by_key, by_partition):
        index.feed_rivven(rivven_block([two, one, three]))
    assert [index.counts(TOPIC, 2)["out_of_order"] for index in (by_key, by_partition)] == [0, 1]


def test_little_is_kept():
    index = VerifyIndex("copy", [(TOPIC, 2, 0, 200_000, False)], {TOPIC: None})
    for first in range(0, 200_000, 20_000):
        block = kafka_block(20_000, first)
        index.feed_kafka(block)
        index.feed_rivven(rivven_block(stored(block)))
    assert index.differing(TOPIC, 2) == []
    assert index.memory_bytes * 5 < 1_000_000

"""The map of offsets gives what plain reading of the log gives, whatever lies in it."""

import json

from hypothesis import given
from hypothesis import strategies as st
from rivven_kafka._native import OffsetMap, block_from_rows
from rivven_kafka.offsets.search import crossing, proves

PLACE = ("t", 3)


@st.composite
def logs(draw):
    """Kafka offsets in the order of a Rivven log, None for foreign records: copies, taken up again and again."""
    survivors = sorted(draw(st.sets(st.integers(0, 40), min_size=1, max_size=30)))
    log = []
    for _ in range(draw(st.integers(1, 4))):
        first = draw(st.integers(0, len(survivors) - 1))
        last = draw(st.integers(first, len(survivors)))
        log += survivors[first:last]
        log += [None] * draw(st.integers(0, 2))
    log += draw(st.lists(st.sampled_from(survivors), max_size=3))
    return log


def map_of(log, start=0):
    found = OffsetMap({"t": None}, start)
    for rivven, kafka in enumerate(log):
        if kafka is not None and rivven >= start:
            found.add(*PLACE, kafka, rivven)
    return found


def expected(log, wanted):
    """The highest offset at or behind which every record has a copy; the first such record, and what comes again."""
    records = {kafka for kafka in log if kafka is not None and kafka >= wanted}
    if not records:
        return None
    at = max(at for at in range(len(log)) if records <= set(log[at:]))
    return at, log[at], sum(kafka is not None and kafka < wanted for kafka in log[at:])


@given(logs(), st.integers(0, 42))
def test_nothing_is_left_out_and_as_little_as_can_be_comes_again(log, wanted):
    found = map_of(log)
    assert found.read_from(*PLACE, wanted) == expected(log, wanted)
    later = [kafka for kafka in log if kafka is not None and kafka >= wanted]
    assert found.next(*PLACE, wanted) == min(later, default=None)


@given(logs(), st.integers(0, 130))
def test_the_way_back_leads_to_the_first_that_was_not_read(log, rivven):
    found = map_of(log)
    unread = {kafka for kafka in log[rivven:] if kafka is not None} - set(log[:rivven])
    if unread:
        again = {kafka for kafka in log[:rivven] if kafka is not None and kafka >= min(unread)}
        assert found.kafka_from(*PLACE, rivven) == (min(unread), len(again))
        assert found.read_above(*PLACE, min(unread), rivven) == len(again)
    else:
        assert found.kafka_from(*PLACE, rivven) is None
    before = [kafka + 1 for kafka in log[:rivven] if kafka is not None]
    assert found.reached(*PLACE, rivven) == max(before, default=None)
    behind = [(at, kafka) for at, kafka in enumerate(log) if at >= rivven and kafka is not None]
    assert found.at(rivven) == ((behind[0][0], *PLACE, behind[0][1]) if behind else None)


@given(logs(), st.integers(0, 42), st.integers(0, 42))
def test_a_search_that_is_proven_gives_the_same(log, wanted, committed):
    records = [kafka for kafka in log if kafka is not None]
    if not records:
        return
    committed = max(committed, max(records) + 1)

    def first_from(offset):
        return next(((at, log[at]) for at in range(offset, len(log)) if log[at] is not None), None)

    at = crossing(first_from, 0, len(log), wanted)
    tail = map_of(log, at)
    if proves(tail, *PLACE, wanted, committed):
        assert tail.read_from(*PLACE, wanted) == expected(log, wanted)


def test_an_undisturbed_log_is_always_proven():
    log = list(range(100))
    for wanted in range(101):
        at = crossing(lambda offset: (offset, log[offset]) if offset < 100 else None, 0, 100, wanted)
        assert at == wanted
        assert proves(map_of(log, min(at, 90)), *PLACE, wanted, 100)
    assert not proves(map_of(log, 50), *PLACE, 20, 100)
    assert not proves(map_of(log[:-1], 50), *PLACE, 60, 100), "the source has committed more"
    assert not proves(map_of(log, 50), *PLACE, 60, None)


def test_events_tell_their_place_and_others_are_foreign():
    def event(position, topic_id=None):
        metadata = {"position": position} | ({} if topic_id is None else {"kafka_topic_id": topic_id})
        return json.dumps({"event_type": "record", "data": 1, "metadata": metadata}).encode()

    values = [
        event("t:3:7"),
        event("t:3:8", "A" * 22),
        event("t:3:9", "B" * 22),
        event("u:3:9"),
        b"hello",
        event("t:4:0"),
    ]
    rows = [(0, None, value, []) for value in values]
    found = OffsetMap({"t": "A" * 22}, 100)
    found.feed(block_from_rows("copy", 0, rows, first_offset=100))
    assert (found.records, found.foreign, found.next_offset) == (6, 3, 106)
    assert found.places == [("t", 3), ("t", 4)]
    assert found.bounds("t", 3) == (7, 8)
    # What a replay of rivvend has left stands at offset 0.
    found.feed(block_from_rows("copy", 0, rows[:1], first_offset=0))
    assert (found.records, found.next_offset) == (6, 106)
    assert found.read_from("t", 3, 0) == (100, 7, 0)
    assert found.bounds("t", 5) is None

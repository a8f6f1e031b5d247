"""Several topics, regular expressions and positions, read from a real Kafka."""

import re
import time
import uuid

import pytest
from rivven_kafka import KafkaSource
from rivven_kafka.errors import ConfigError, UnknownTopicError

from tests.support.topics import Row, committed_offsets, create_topic, fill

pytestmark = pytest.mark.integration

# Kafka deletes records that are a week old, by their own timestamp.
NOW = int(time.time() * 1000)


@pytest.fixture
def family(kafka):
    """A function that creates a topic whose name begins with a prefix of this test, filled with numbers."""
    prefix = f"family-{uuid.uuid4().hex[:8]}"

    def make(suffix, counts=(5,)):
        name = f"{prefix}.{suffix}"
        create_topic(kafka.bootstrap, name, len(counts))
        fill(
            kafka.bootstrap,
            name,
            {p: [Row(NOW, None, b"%d" % i, []) for i in range(n)] for p, n in enumerate(counts)},
        )
        return name

    make.prefix = prefix
    return make


def source(kafka, group, **options):
    return KafkaSource(brokers=kafka.bootstrap, consumer_group=group, empty_poll_delay_ms=20, **options)


def take(stream, count):
    """The topics, partitions and offsets of the next `count` events, sorted."""
    events = [next(stream) for _ in range(count)]
    return sorted((event.stream, event.partition, event.offset) for event in events)


def places(name, *counts, start=0):
    return [
        (name, partition, offset) for partition, count in enumerate(counts) for offset in range(start, count)
    ]


def test_a_list_of_topics(kafka, family):
    one, two, _ = family("one"), family("two", (3, 3)), family("three")
    with source(kafka, family.prefix, topics=[one, two]).read() as events:
        assert take(events, 11) == sorted(places(one, 5) + places(two, 3, 3))
    assert committed_offsets(kafka.bootstrap, family.prefix, two) == {0: 3, 1: 3}


def test_every_topic_of_a_list_must_exist(kafka, family):
    one = family("one")
    with pytest.raises(UnknownTopicError, match="nowhere"):
        source(kafka, family.prefix, topics=[one, f"{family.prefix}.nowhere"]).read()


def test_a_regular_expression_with_exceptions(kafka, family):
    one, two, _ = family("one"), family("two"), family("two.tmp")
    pattern = re.escape(family.prefix) + r"[.].*"
    options = {"topics_regex": pattern, "topics_exclude": [".*[.]tmp", ".*three"]}
    with source(kafka, family.prefix, **options, kafka_options={"metadata_max_age_ms": 500}).read() as events:
        assert take(events, 10) == sorted(places(one, 5) + places(two, 5))
        # Topics that appear while it reads: one that is excluded, one that is not.
        family("three")
        four = family("four", (2, 2))
        assert take(events, 4) == places(four, 2, 2)


def test_an_expression_may_match_nothing_yet(kafka, family):
    pattern = re.escape(family.prefix) + r"[.].*"
    reader = source(kafka, family.prefix, topics_regex=pattern, kafka_options={"metadata_max_age_ms": 500})
    with reader.read() as events:
        one = family("one")
        assert take(events, 5) == places(one, 5)


def test_a_position_comes_before_the_committed_offset(kafka, family):
    one = family("one", (6, 6))
    with source(kafka, family.prefix, topic=one).read() as events:
        assert take(events, 12) == places(one, 6, 6)
    # Back in partition 0; partition 1 goes on at the end.
    with source(kafka, family.prefix, topic=one).read(position={(one, 0): 4}) as events:
        assert take(events, 2) == [(one, 0, 4), (one, 0, 5)]
    assert committed_offsets(kafka.bootstrap, family.prefix, one) == {0: 6, 1: 6}
    # Forward as well: what is passed over is not read.
    with source(kafka, f"{family.prefix}-2", topic=one).read(position={(one, 0): 5, (one, 1): 6}) as events:
        assert take(events, 1) == [(one, 0, 5)]


def test_a_position_holds_until_something_was_processed(kafka, family):
    one = family("one", (20, 20))
    options = {"topic": one, "heartbeat_interval_ms": 200, "max_poll_records": 1}
    with source(kafka, family.prefix, **options).read(position={(one, 0): 15, (one, 1): 15}) as events:
        first = next(events)
        # A rebalance brings the partitions back, one of them untouched.
        other = source(kafka, family.prefix, **options).read()
        other.close()
        assert take(events, 9) == sorted(
            (one, partition, offset)
            for partition in (0, 1)
            for offset in range(15, 20)
            if (partition, offset) != (first.partition, first.offset)
        )


def test_a_position_is_used_once_per_partition(kafka, family):
    one = family("one", (4, 4))
    options = {"topic": one, "auto_commit_interval_ms": 50, "heartbeat_interval_ms": 200}
    with source(kafka, family.prefix, **options).read(position={(one, 0): 2, (one, 1): 2}) as events:
        assert take(events, 4) == [(one, 0, 2), (one, 0, 3), (one, 1, 2), (one, 1, 3)]
        # A rebalance brings the partitions back: they go on where they were.
        other = source(kafka, family.prefix, **options).read()
        other.close()
        fill(kafka.bootstrap, one, {0: [Row(NOW, None, b"new", [])], 1: []})
        assert take(events, 1) == [(one, 0, 4)]


@pytest.mark.parametrize(
    ("position", "problem"),
    [
        ({("other", 0): 1}, "position: got topic 'other': expected one of the topic 'mine'"),
        ({("mine", -1): 1}, "position: got mine:-1: 1: expected partition and offset of at least 0"),
        ({("mine", 0): -1}, "position: got mine:0: -1: expected partition and offset of at least 0"),
    ],
)
def test_positions_are_checked_before_anything_is_connected(position, problem):
    with pytest.raises(ConfigError, match=problem):
        KafkaSource(brokers="127.0.0.1:1", topic="mine").read(position=position)

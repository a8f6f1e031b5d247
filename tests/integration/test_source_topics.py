"""One source, several Kafka topics: renamed one by one, all into one, found while it runs."""

import json
import re
import time
import uuid
from contextlib import closing
from itertools import chain

import pytest
from kafka import KafkaAdminClient
from rivven_kafka.errors import ConfigError

from tests.integration.pipelines import Running, rivven_records
from tests.support.connector import wait_until
from tests.support.topics import Row, committed_offsets, create_topic, fill

pytestmark = pytest.mark.integration

# Kafka deletes records that are a week old, by their own timestamp.
NOW = int(time.time() * 1000)


class Family:
    """Kafka topics whose names begin alike, and a source that reads them."""

    def __init__(self, kafka, rivven):
        self.kafka, self.rivven = kafka, rivven
        self.name = f"family-{uuid.uuid4().hex[:8]}"

    def add(self, suffix, *counts):
        topic = f"{self.name}.{suffix}"
        create_topic(self.kafka.bootstrap, topic, len(counts))
        rows = {
            p: [Row(NOW, b"k%d" % (i % 3), b"%d" % i, []) for i in range(n)] for p, n in enumerate(counts)
        }
        fill(self.kafka.bootstrap, topic, rows)
        return topic

    def delete(self, topic):
        with closing(KafkaAdminClient(bootstrap_servers=self.kafka.bootstrap)) as admin:
            admin.delete_topics([topic])

    def document(self, destination, settings=None, topic_config=None, **config):
        return {
            "broker": {"bootstrap_servers": [self.rivven.bootstrap]},
            "settings": settings or {},
            "sources": {
                "in": {
                    "connector": "kafka",
                    "topic": destination,
                    "topic_config": topic_config or {},
                    "config": {
                        "brokers": self.kafka.bootstrap,
                        "consumer_group": self.name,
                        "empty_poll_delay_ms": 20,
                        "kafka_options": {"metadata_max_age_ms": 500},
                        **config,
                    },
                }
            },
        }

    def read(self, topic):
        return rivven_records(self.rivven.bootstrap, topic)

    def wait(self, running, topic, count):
        wait_until(
            lambda: sum(map(len, self.read(topic).values())) >= count or running.error is not None,
            30,
            running.describe,
        )
        assert running.error is None


@pytest.fixture
def family(kafka, rivven):
    return Family(kafka, rivven)


def places(records):
    """Topic, partition and offset in Kafka of each event, by Rivven partition."""
    events = {p: [json.loads(value) for _, value in rows] for p, rows in records.items()}
    return {
        p: [(e["stream"], e["metadata"]["kafka_partition"], e["metadata"]["kafka_offset"]) for e in row]
        for p, row in events.items()
    }


def gone(caplog):
    """The topics that the source says are gone."""
    return [record.topic for record in caplog.records if "has lost a topic" in record.getMessage()]


def run(topic, *counts):
    return {p: [(topic, p, offset) for offset in range(count)] for p, count in enumerate(counts)}


def test_each_topic_goes_to_a_topic_of_its_own(family):
    one, two = family.add("one", 7, 5), family.add("two", 3, 4, 9)
    with Running(family.document("copy.{topic}", topics=[one, two])) as running:
        family.wait(running, f"copy.{one}", 12)
        family.wait(running, f"copy.{two}", 16)
    assert places(family.read(f"copy.{one}")) == run(one, 7, 5)
    assert places(family.read(f"copy.{two}")) == run(two, 3, 4, 9)
    assert committed_offsets(family.kafka.bootstrap, family.name, two) == {0: 3, 1: 4, 2: 9}


@pytest.mark.parametrize("ordering", ["partition", "key"])
def test_all_topics_go_to_one(family, ordering):
    one, two = family.add("one", 30), family.add("two", 20, 25)
    target = f"{family.name}-all"
    with Running(family.document(target, topics=[one, two], ordering=ordering)) as running:
        family.wait(running, target, 75)
    found = places(family.read(target))
    assert len(found) == 2
    assert sorted(found[0]) == sorted(run(one, 30)[0] + run(two, 20)[0])
    assert sorted(found[1]) == run(two, 20, 25)[1]
    if ordering == "partition":
        assert [place for place in found[0] if place[0] == one] == run(one, 30)[0]
        assert [place for place in found[0] if place[0] == two] == run(two, 20)[0]


def test_topics_that_appear_later_are_found_and_their_destinations_made(family):
    one = family.add("one", 4)
    options = {"topics_regex": re.escape(family.name) + "[.].*", "topics_exclude": ".*[.]tmp"}
    with Running(family.document("{topic}", **options)) as running:
        family.wait(running, one, 4)
        family.add("x.tmp", 5)
        two = family.add("two", 2, 3)
        family.wait(running, two, 5)
    assert places(family.read(two)) == run(two, 2, 3)
    assert family.read(f"{family.name}.x.tmp") == {}


@pytest.mark.symptom("A topic of a source is deleted while it runs.")
@pytest.mark.parametrize("guarantee", ["at_least_once", "exactly_once"])
def test_the_others_go_on_when_a_topic_is_deleted(family, guarantee, caplog):
    one, two = family.add("one", 6, 4), family.add("two", 3, 5)
    target = f"{family.name}-all"
    # The last records of the topic are not committed when it goes.
    options = {"delivery_guarantee": guarantee, "auto_commit_interval_ms": 60_000}
    with Running(family.document(target, topics=[one, two], **options)) as running:
        family.wait(running, target, 18)
        family.delete(one)
        wait_until(lambda: any(one in line for line in gone(caplog)), 30, running.describe)
        fill(family.kafka.bootstrap, two, {0: [Row(NOW, None, b"new", [])], 1: []})
        began = time.monotonic()
        family.wait(running, target, 19)
        assert time.monotonic() - began < 25
    assert running.error is None
    assert len(gone(caplog)) == 1
    assert committed_offsets(family.kafka.bootstrap, family.name, two) == {0: 4, 1: 5}
    found = chain.from_iterable(places(family.read(target)).values())
    expected = chain.from_iterable([*run(one, 6, 4).values(), *run(two, 4, 5).values()])
    assert sorted(found) == sorted(expected)


def test_a_topic_that_appears_after_another_was_deleted_is_delivered_exactly_once(family, caplog):
    one, two = family.add("one", 0), family.add("two", 5)
    target = f"{family.name}-all"
    options = {"topics_regex": re.escape(family.name) + "[.].*", "delivery_guarantee": "exactly_once"}
    with Running(family.document(target, **options)) as running:
        family.wait(running, target, 5)
        family.delete(one)
        wait_until(lambda: gone(caplog) == [one], 30, running.describe)
        three = family.add("three", 4)
        family.wait(running, target, 9)
    assert running.error is None
    assert sorted(chain.from_iterable(places(family.read(target)).values())) == sorted(
        chain.from_iterable([*run(two, 5).values(), *run(three, 4).values()])
    )


def test_a_topic_with_more_partitions_than_the_shared_destination_is_refused(family):
    one, two = family.add("one", 1), family.add("two", 1, 1)
    target = f"{family.name}-all"
    with Running(family.document(target, topics=[one])) as running:
        family.wait(running, target, 1)
    with Running(family.document(target, topics=[one, two])) as running:
        error = running.failure()
    assert isinstance(error, ConfigError)
    assert "has 1 partitions and Kafka topic" in str(error)
    assert repr(two) in str(error)


def test_existing_topics_are_compared_if_asked(family):
    one = family.add("one", 1, 1)
    target = f"{family.name}-copy"
    with Running(family.document(target, topic=one, topic_config={"partitions": 3})) as running:
        family.wait(running, target, 2)
    checked = {"topic": {"validate_existing": True}}
    with Running(family.document(target, checked, topic=one)) as running:
        error = running.failure()
    assert isinstance(error, ConfigError)
    assert str(error).startswith("settings.topic.validate_existing: Rivven topic")
    assert "has 3 partitions: expected 2" in str(error)
    with Running(family.document(target, checked, {"partitions": 3}, topic=one)) as running:
        wait_until(lambda: running.pipeline.metrics.snapshot().polls > 0 or running.error is not None, 20)
    assert running.error is None

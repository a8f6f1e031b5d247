"""The options of a source, by what arrives in a real Rivven."""

import json
import logging
import time
from contextlib import closing

import pytest
from kafka import KafkaConsumer, TopicPartition
from rivven_kafka._native import RivvenClient, partition_for_key
from rivven_kafka.errors import ConfigError, InvalidRequestError, UnknownTopicError

from tests.integration.pipelines import Running, rivven_records
from tests.support.connector import source_file, wait_until
from tests.support.topics import Row, create_topic, fill

pytestmark = pytest.mark.integration

# Kafka deletes records that are a week old, by their own timestamp.
NOW = int(time.time() * 1000)


class Bridge:
    """A filled Kafka topic, and the Rivven topic that a source makes of it."""

    def __init__(self, kafka, rivven, topic_name, rows):
        self.kafka, self.rivven = kafka, rivven
        self.origin, self.copy = topic_name(), topic_name()
        create_topic(kafka.bootstrap, self.origin, len(rows))
        fill(kafka.bootstrap, self.origin, rows)

    def document(self, **config):
        config = {
            "session_timeout_ms": 6000,
            "heartbeat_interval_ms": 200,
            "empty_poll_delay_ms": 20,
            **config,
        }
        return source_file(
            self.kafka.bootstrap, self.rivven.bootstrap, self.origin, self.copy, f"g-{self.origin}", **config
        )

    def read(self):
        return rivven_records(self.rivven.bootstrap, self.copy)

    def run(self, count, document=None, **config):
        """Runs a source until `count` records have arrived."""
        with Running(document or self.document(**config)) as running:
            wait_until(
                lambda: sum(map(len, self.read().values())) >= count or running.error is not None,
                30,
                running.describe,
            )
        assert running.error is None
        return self.read()

    def committed(self, partition=0):
        options = {"bootstrap_servers": self.kafka.bootstrap, "group_id": f"g-{self.origin}"}
        with closing(KafkaConsumer(**options, metrics_enabled=False)) as consumer:
            return consumer.committed(TopicPartition(self.origin, partition))


@pytest.fixture
def bridge(kafka, rivven, topic_name):
    return lambda rows: Bridge(kafka, rivven, topic_name, rows)


def create_rivven_topic(rivven, topic, partitions):
    client = RivvenClient([rivven.bootstrap])
    assert client.create_topic(topic, partitions)
    client.close()


TOMBSTONES = {0: [Row(NOW, b"a", b"1", []), Row(NOW, b"b", None, []), Row(NOW, None, b"", [])]}


def test_raw_values_arrive_as_they_are(bridge):
    rows = {p: [Row(NOW, b"k", b"\xff\x00%d/%d" % (p, i), [("h", b"")]) for i in range(20)] for p in range(2)}
    pipe = bridge(rows)
    assert pipe.run(40, value_format="raw") == {p: [(row.key, row.value) for row in rows[p]] for p in rows}
    assert [pipe.committed(partition) for partition in rows] == [20, 20]


def test_a_tombstone_becomes_empty(bridge):
    pipe = bridge(TOMBSTONES)
    assert pipe.run(3, value_format="raw", on_tombstone="empty")[0] == [
        (b"a", b"1"),
        (b"b", b""),
        (None, b""),
    ]


def test_a_tombstone_is_skipped(bridge):
    pipe = bridge(TOMBSTONES)
    assert pipe.run(2, value_format="raw", on_tombstone="skip")[0] == [(b"a", b"1"), (None, b"")]
    assert pipe.committed() == 3


def test_a_tombstone_stops_the_source_before_it(bridge):
    pipe = bridge(TOMBSTONES)
    with Running(pipe.document(value_format="raw")) as running:
        error = running.failure()
    assert isinstance(error, InvalidRequestError)
    assert "tombstone" in str(error)
    assert (error.topic, error.partition, error.offset) == (pipe.origin, 0, 1)
    assert (pipe.committed() or 0) <= 1
    # A changed configuration goes on; what was delivered before may come twice, nothing is left out.
    found = pipe.run(3, value_format="raw", on_tombstone="empty")[0]
    assert list(dict.fromkeys(found)) == [(b"a", b"1"), (b"b", b""), (None, b"")]


def test_a_bad_record_is_skipped_counted_and_logged(bridge, caplog):
    pipe = bridge(TOMBSTONES)
    with caplog.at_level(logging.WARNING, "rivven_kafka"):
        found = pipe.run(2, value_format="raw", on_error="skip")[0]
    assert found == [(b"a", b"1"), (None, b"")]
    assert pipe.committed() == 3
    [record] = [record for record in caplog.records if "skipped a record" in record.message]
    assert "tombstone" in record.message
    assert (record.topic, record.partition, record.offset) == (pipe.origin, 0, 1)


def test_of_very_many_skipped_records_the_number_is_logged(bridge, caplog):
    bad = [Row(NOW, b"%d" % number, None, []) for number in range(700)]
    pipe = bridge({0: [*bad, Row(NOW, None, b"good", [])]})
    with caplog.at_level(logging.WARNING, "rivven_kafka"):
        with Running(pipe.document(value_format="raw", on_error="skip")) as running:
            wait_until(lambda: running.pipeline.delivered() == 1, 30, running.describe)
        assert running.error is None
    assert pipe.committed() == 701
    listed = [record.offset for record in caplog.records if "skipped a record" in record.message]
    more = [record.args[0] for record in caplog.records if "more records" in record.message]
    assert len(listed) + sum(more) == 700
    assert len(listed) < 700, "not a line for each"
    assert listed == sorted(set(listed))
    assert running.pipeline.metrics.snapshot().errors == 700


def test_an_event_keeps_a_tombstone(bridge):
    pipe = bridge(TOMBSTONES)
    found = [(key, json.loads(value)) for key, value in pipe.run(3)[0]]
    assert [(key, event["data"]) for key, event in found] == [(b"a", 1), (b"b", None), (None, "")]


def test_metadata_options(bridge):
    pipe = bridge({0: [Row(NOW, b"k", b"{}", [("h", b"1")])]})
    [(key, value)] = pipe.run(1, include_headers=False, include_key=False)[0]
    assert key == b"k", "the Rivven key is not metadata"
    assert set(json.loads(value)["metadata"]) == {
        "position",
        "kafka_timestamp",
        "kafka_partition",
        "kafka_offset",
    }


def test_metadata(bridge):
    pipe = bridge({0: [Row(NOW, b"k", b"{}", [("h", b"1")])]})
    [(_, value)] = pipe.run(1)[0]
    event = json.loads(value)
    assert list(event) == ["event_type", "stream", "namespace", "timestamp", "data", "metadata"]
    assert event["metadata"] == {
        "position": f"{pipe.origin}:0:0",
        "kafka_headers": {"h": "1"},
        "kafka_timestamp": NOW,
        "kafka_partition": 0,
        "kafka_key": "k",
        "kafka_offset": 0,
    }


def test_partitioning_by_key(bridge, rivven):
    keys = [b"k%d" % i for i in range(40)]
    pipe = bridge({p: [Row(NOW, key, b"%d" % p, []) for key in keys[p::2]] for p in range(2)})
    create_rivven_topic(rivven, pipe.copy, 5)
    found = pipe.run(40, value_format="raw", partitioning="key")
    assert {key: p for p, records in found.items() for key, _ in records} == {
        key: partition_for_key(key, 5) for key in keys
    }


def test_ordering_by_key_keeps_each_key_in_order(bridge):
    """Several lanes write to one partition; requests are small, so that they overtake each other."""
    keys = [b"k%d" % i for i in range(16)]
    rows = {0: [Row(NOW, keys[i % 16], b"%d" % i, []) for i in range(800)]}
    pipe = bridge(rows)
    found = pipe.run(800, value_format="raw", ordering="key", connections=8, max_batch_records=5)[0]
    assert len(found) == 800
    for index, key in enumerate(keys):
        assert [int(value) for owner, value in found if owner == key] == list(range(index, 800, 16))
    numbers = [int(value) for _, value in found]
    assert numbers != sorted(numbers), "the lanes ran side by side"


def test_the_topic_is_created_with_kafkas_partitions(bridge):
    pipe = bridge({p: [Row(NOW, None, b"1", [])] for p in range(3)})
    assert {p: len(records) for p, records in pipe.run(3).items()} == {0: 1, 1: 1, 2: 1}


def test_the_number_of_partitions_may_be_given(bridge):
    pipe = bridge({0: [Row(NOW, None, b"1", [])]})
    document = pipe.document()
    document["sources"]["in"]["topic_config"] = {"partitions": 4}
    assert len(pipe.run(1, document)) == 4


def test_too_few_partitions_are_refused(bridge, rivven):
    pipe = bridge({p: [Row(NOW, None, b"1", [])] for p in range(3)})
    create_rivven_topic(rivven, pipe.copy, 2)
    with Running(pipe.document()) as running:
        error = running.failure()
    assert isinstance(error, ConfigError)
    assert f"{pipe.copy!r} has 2 partitions" in str(error)
    assert "has 3" in str(error)
    assert pipe.read() == {0: [], 1: []}


def test_a_topic_is_not_created_against_the_configuration(bridge):
    pipe = bridge({0: [Row(NOW, None, b"1", [])]})
    document = pipe.document()
    document["sources"]["in"]["topic_config"] = {"auto_create": False}
    with Running(document) as running:
        error = running.failure()
    assert isinstance(error, UnknownTopicError)
    assert pipe.read() == {}


def test_a_missing_kafka_topic_stops_the_source(bridge):
    pipe = bridge({0: []})
    pipe.origin += "-missing"
    with Running(pipe.document()) as running:
        error = running.failure()
    assert isinstance(error, UnknownTopicError)
    assert pipe.origin in str(error)

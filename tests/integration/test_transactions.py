"""A sink with `transactional_id`: what readers of committed records see, and where the positions lie."""

import struct
import threading
import time
from contextlib import closing

import pytest
from kafka import KafkaAdminClient
from rivven_kafka import KafkaSink, SourceEvent
from rivven_kafka._native import RivvenClient
from rivven_kafka.errors import (
    DeliveryError,
    EventFormatError,
    FencedError,
    InvalidRequestError,
    RivvenKafkaError,
)
from rivven_kafka.kafka import TransactionalProducer
from rivven_kafka.pipeline import sink_pipeline
from rivven_kafka.pipeline.kafka_positions import KafkaPositions
from rivven_kafka.pipeline.start_offset import start_positions

from tests.integration.pipelines import Running
from tests.support.connector import sink_file, wait_until
from tests.support.topics import create_topic, read_topic

pytestmark = pytest.mark.integration

TRANSACTIONAL, CONTROL = 1 << 4, 1 << 5


def numbers(first, last):
    return [b"%d" % number for number in range(first, last)]


def raw_attributes(log_dir, topic, partition=0):
    """The attributes of the batches in Kafka's own log file."""
    data = (log_dir / f"{topic}-{partition}" / f"{0:020}.log").read_bytes()
    found = []
    while data:
        [length] = struct.unpack_from(">i", data, 8)
        found.append(struct.unpack_from(">h", data, 21)[0])
        data = data[12 + length :]
    return found


class Bridge:
    """A Rivven topic, and the Kafka topic that a sink with transactions makes of it."""

    def __init__(self, kafka, rivven, topic_name, partitions, kafka_partitions):
        self.kafka, self.rivven = kafka, rivven
        self.origin, self.copy = topic_name(), topic_name()
        self.group = f"g-{self.origin}"
        self.client = RivvenClient([rivven.bootstrap])
        self.client.create_topic(self.origin, partitions)
        self.partitions = partitions
        create_topic(kafka.bootstrap, self.copy, kafka_partitions or partitions)

    def publish(self, first, last, partition=0):
        """Appends numbered records, with their numbers as keys."""
        self.client.publish(self.origin, partition, [(value, value) for value in numbers(first, last)])

    def document(self, **config):
        config = {
            "include_headers": False,
            "transactional_id": f"tx-{self.copy}",
            "session_timeout_ms": 2_000,
            "heartbeat_interval_ms": 100,
            **config,
        }
        return sink_file(
            self.kafka.bootstrap, self.rivven.bootstrap, self.origin, self.copy, self.group, **config
        )

    def committed_rows(self):
        return read_topic(self.kafka.bootstrap, self.copy, "read_committed")

    def committed(self):
        """The values that a reader of committed records sees, by partition."""
        return {partition: [row.value for row in rows] for partition, rows in self.committed_rows().items()}

    def run(self, count, **config):
        """Runs a sink until this run has delivered `count` records and committed their positions."""
        with Running(self.document(**config)) as running:
            self.wait(running, count)
        assert running.error is None

    def wait(self, running, count):
        wait_until(
            lambda: running.pipeline.delivered() >= count or running.error is not None, 30, running.describe
        )

    def positions(self, name=""):
        """Offset and metadata by Kafka partition, of the group for this topic."""
        group = f"rivven-kafka:{self.group}:{self.origin}{name}"
        with closing(KafkaAdminClient(bootstrap_servers=self.kafka.bootstrap)) as admin:
            found = admin.list_group_offsets([group])[group]
        assert {tp.topic for tp in found} <= {self.copy}
        return {tp.partition: (at.offset, at.metadata) for tp, at in found.items() if at.offset >= 0}

    def rivven_positions(self):
        return [
            self.client.committed_offset(self.group, self.origin, partition)
            for partition in range(self.partitions)
        ]


@pytest.fixture
def bridge(kafka, rivven, topic_name):
    bridges = []

    def make(partitions=1, kafka_partitions=None):
        bridges.append(Bridge(kafka, rivven, topic_name, partitions, kafka_partitions))
        return bridges[-1]

    yield make
    for made in bridges:
        made.client.close()


def test_records_and_positions_are_committed_together(bridge):
    pipe = bridge(2)
    for partition in range(2):
        pipe.publish(0, 500, partition)
    with Running(pipe.document(batch_size_bytes=1000)) as running:
        pipe.wait(running, 1000)
        assert pipe.positions() == {0: (500, f"tx-{pipe.copy}"), 1: (500, f"tx-{pipe.copy}")}
        wait_until(lambda: pipe.rivven_positions() == [500, 500], 20, running.describe)
    assert running.error is None
    # It has let the partitions go.
    assert pipe.positions() == {0: (500, ""), 1: (500, "")}
    assert pipe.committed() == {0: numbers(0, 500), 1: numbers(0, 500)}
    for partition in range(2):
        attributes = raw_attributes(pipe.kafka.data_dir, pipe.copy, partition)
        assert all(each & TRANSACTIONAL for each in attributes)
        assert [each & CONTROL for each in attributes].count(CONTROL) >= 1


def test_a_restart_goes_on_exactly(bridge):
    pipe = bridge()
    for first in range(0, 300, 100):
        pipe.publish(first, first + 100)
        pipe.run(100, transaction_max_records=10)
    assert pipe.committed() == {0: numbers(0, 300)}
    assert pipe.positions() == {0: (300, "")}


def test_transactions_can_be_turned_on_off_and_on(bridge):
    pipe = bridge()
    for turn, config in enumerate([{"transactional_id": None}, {}, {"transactional_id": None}, {}]):
        pipe.publish(turn * 10, turn * 10 + 10)
        pipe.run(10, **config)
        assert pipe.rivven_positions() == [turn * 10 + 10]
    assert pipe.committed() == {0: numbers(0, 40)}
    assert pipe.positions() == {0: (40, "")}


def test_the_position_in_kafka_counts_when_rivven_has_forgotten(bridge):
    pipe = bridge()
    pipe.publish(0, 20)
    pipe.run(20)
    pipe.client.commit_offsets(pipe.group, [(pipe.origin, 0, 5)])
    pipe.publish(20, 30)
    pipe.run(10)
    assert pipe.committed() == {0: numbers(0, 30)}


def test_more_partitions_in_rivven_than_in_kafka_and_a_topic_that_grows(bridge):
    pipe = bridge(5, 2)
    for partition in range(5):
        pipe.publish(partition * 1000, partition * 1000 + 100, partition)
    pipe.run(500, partitioning="key")
    assert pipe.positions() == {0: (100, ""), 1: (100, "")}
    assert pipe.positions("/2.1") == {0: (100, ""), 1: (100, "")}
    assert pipe.positions("/2.2") == {0: (100, "")}
    # Rivven's group is behind: only the positions in Kafka are exact.
    pipe.client.commit_offsets(pipe.group, [(pipe.origin, partition, 50) for partition in range(5)])
    with closing(KafkaAdminClient(bootstrap_servers=pipe.kafka.bootstrap)) as admin:
        admin.create_partitions({pipe.copy: 4})
    for partition in range(5):
        pipe.publish(partition * 1000 + 100, partition * 1000 + 100 + partition, partition)
    pipe.run(10, partitioning="key")
    values = [int(row.value) for rows in pipe.committed_rows().values() for row in rows]
    assert sorted(values) == [p * 1000 + i for p in range(5) for i in range(100 + p)]
    assert pipe.positions() == {partition: (100 + partition, "") for partition in range(4)}
    assert pipe.positions("/4.1") == {0: (104, "")}


def test_the_second_of_two_with_the_same_id_fences_the_first(bridge):
    pipe = bridge()
    pipe.publish(0, 10)
    with Running(pipe.document()) as first:
        pipe.wait(first, 10)
        with Running(pipe.document()) as second:
            wait_until(lambda: "tx-" in pipe.positions()[0][1], 20, second.describe)
            number = 10

            def ended():
                nonlocal number
                pipe.publish(number, number + 10)
                number += 10
                return first.error is not None

            wait_until(ended, 30, first.describe)
            assert isinstance(first.error, FencedError)
            assert f"'tx-{pipe.copy}'" in str(first.error)
            wait_until(lambda: pipe.committed() == {0: numbers(0, number)}, 30, second.describe)
        assert second.error is None
    assert pipe.committed() == {0: numbers(0, number)}


def test_who_was_away_between_its_look_and_its_claim_claims_nothing(bridge, monkeypatch):
    pipe = bridge()
    pipe.publish(0, 100)
    away, back = threading.Event(), threading.Event()

    def late(client, entry, *args):
        found = start_positions(client, entry, *args)
        if entry.config.transactional_id == "late" and not away.is_set():
            away.set()
            assert back.wait(30)
        return found

    monkeypatch.setattr(sink_pipeline, "start_positions", late)
    with Running(pipe.document(transactional_id="late")) as first:
        assert away.wait(20)
        with Running(pipe.document(transactional_id="quick")) as second:
            pipe.wait(second, 100)
            pipe.publish(100, 200)
            pipe.wait(second, 200)
            back.set()
            # It joins again, and the two share what there is: one of them gets nothing.
            pipe.publish(200, 300)
            wait_until(lambda: len(pipe.committed()[0]) >= 300, 20, second.describe)
    assert (first.error, second.error) == (None, None)
    assert pipe.committed() == {0: numbers(0, 300)}
    assert pipe.positions() == {0: (300, "")}


def test_a_start_that_takes_longer_than_a_session_keeps_its_partitions(bridge, monkeypatch):
    pipe = bridge(6)
    for partition in range(6):
        pipe.publish(0, 10, partition)

    class Far:
        """Rivven, a long way off."""

        def __init__(self, client):
            self._client = client

        def __getattr__(self, name):
            return getattr(self._client, name)

        def committed_offset(self, *args):
            time.sleep(0.4)
            return self._client.committed_offset(*args)

    def slow(client, *args):
        return start_positions(Far(client), *args)

    monkeypatch.setattr(sink_pipeline, "start_positions", slow)
    with Running(pipe.document(session_timeout_ms=1_000)) as running:
        wait_until(lambda: running.pipeline.delivered() == 60, 12, running.describe)
        assert running.pipeline.observed.rebalances == 1
    assert running.error is None


def test_others_wait_for_a_claim_that_is_not_decided(bridge):
    pipe = bridge()
    options = {"bootstrap_servers": [pipe.kafka.bootstrap], "client_id": "x", "request_timeout_ms": 10_000}
    producing = {**options, "acks": -1, "enable_idempotence": True, "max_block_ms": 10_000}
    place = (pipe.origin, 0)

    def positions(name):
        return KafkaPositions(options, producing, name, pipe.group, pipe.copy, 1)

    one, other = positions("one"), positions("other")
    with closing(TransactionalProducer({**producing, "transactional_id": "one"})) as producer:
        assert one.take_over([place]) == {}
        for decide in (producer.abort, lambda _: producer.commit()):
            producer.begin()
            assert producer.stage(pipe.copy, one.offsets({place: 7}), 10)
            assert other.take_over([place]) is None
            decide(10)
        assert producer.wait_committed(10)
        assert pipe.positions() == {0: (7, "one")}
        wait_until(lambda: other.take_over([place]) == {place: 7}, 10, lambda: "an open transaction")
        producer.begin()
        with pytest.raises(FencedError):
            producer.stage(pipe.copy, one.offsets({place: 8}), 10)


def test_a_sink_that_does_not_know_that_its_topic_has_grown_takes_nothing_over(bridge):
    pipe = bridge(4, 3)
    options = {"bootstrap_servers": [pipe.kafka.bootstrap], "client_id": "x", "request_timeout_ms": 10_000}
    positions = KafkaPositions(options, options, "one", pipe.group, pipe.copy, 3)
    assert positions.take_over([(pipe.origin, 3)]) == {}
    with closing(KafkaAdminClient(bootstrap_servers=pipe.kafka.bootstrap)) as admin:
        admin.create_partitions({pipe.copy: 6})
    # Its own place would be another than that of who knows.
    with pytest.raises(RivvenKafkaError, match="has 6 partitions, and had 3"):
        positions.take_over([(pipe.origin, 3)])


def test_a_claim_in_a_group_of_its_own_is_seen_by_who_knows_more_partitions(bridge):
    pipe = bridge(4, 3)
    options = {"bootstrap_servers": [pipe.kafka.bootstrap], "client_id": "x", "request_timeout_ms": 10_000}
    producing = {**options, "acks": -1, "enable_idempotence": True, "max_block_ms": 10_000}
    place = (pipe.origin, 3)
    one = KafkaPositions(options, producing, "one", pipe.group, pipe.copy, 3)
    with closing(TransactionalProducer({**producing, "transactional_id": "one"})) as producer:
        producer.begin()
        assert producer.stage(pipe.copy, one.offsets({place: 7}), 10)
        with closing(KafkaAdminClient(bootstrap_servers=pipe.kafka.bootstrap)) as admin:
            admin.create_partitions({pipe.copy: 6})
        other = KafkaPositions(options, producing, "other", pipe.group, pipe.copy, 6)
        assert other.take_over([place]) is None
        producer.commit()
        assert producer.wait_committed(10)
        wait_until(lambda: other.take_over([place]) == {place: 7}, 10, lambda: "an open transaction")
        producer.begin()
        with pytest.raises(FencedError):
            producer.stage(pipe.copy, one.offsets({place: 8}), 10)


def test_records_before_a_bad_one_are_committed(bridge):
    pipe = bridge()
    event = b'{"event_type":"insert","stream":"s","namespace":"n","data":%d,"metadata":{"position":"7"}}'
    pipe.client.publish(pipe.origin, 0, [(None, event % 1), (None, event % 2), (None, b"no event")])
    for _ in range(2):
        with Running(pipe.document(value_format="event")) as running:
            error = running.failure()
        assert isinstance(error, EventFormatError)
        assert (error.topic, error.partition, error.offset) == (pipe.origin, 0, 2)
        assert pipe.committed() == {0: [b"1", b"2"]}
    with Running(pipe.document(value_format="event", on_error="skip")) as running:
        wait_until(lambda: pipe.positions()[0][0] == 3, 20, running.describe)
    assert pipe.committed() == {0: [b"1", b"2"]}


def test_a_record_that_kafka_does_not_take_leaves_nothing_of_its_transaction(bridge):
    pipe = bridge()
    with closing(KafkaAdminClient(bootstrap_servers=pipe.kafka.bootstrap)) as admin:
        admin.delete_topics([pipe.copy])
    pipe.copy += "-small"
    create_topic(pipe.kafka.bootstrap, pipe.copy, 1, **{"max.message.bytes": 2000})
    pipe.publish(0, 50)
    pipe.client.publish(pipe.origin, 0, [(None, b"x" * 3000)])
    pipe.publish(50, 60)
    for _ in range(2):
        with Running(pipe.document(batch_size_bytes=500, transaction_interval_ms=5000)) as running:
            error = running.failure()
        assert isinstance(error, DeliveryError)
        assert "TooLarge" in error.code
    found = pipe.committed()[0]
    assert found == []
    assert pipe.positions()[0][0] == 0
    assert len(read_topic(pipe.kafka.bootstrap, pipe.copy)[0]) > 0, "they were there, and are aborted"


@pytest.fixture
def write(kafka, topic_name):
    """A function that makes a sink on a new topic."""

    def make(partitions=1, **options):
        name = topic_name()
        create_topic(kafka.bootstrap, name, partitions, **{"max.message.bytes": 2000})
        options = {"include_headers": False, "transactional_id": f"tx-{name}", **options}
        return KafkaSink(brokers=kafka.bootstrap, topic=name, **options)

    return make


def visible(kafka, sink, isolation_level="read_committed"):
    rows = read_topic(kafka.bootstrap, sink.config.topic, isolation_level)
    return [row.value for partition in sorted(rows) for row in rows[partition]]


def events(values, partition=0):
    return [SourceEvent("t", value, partition=partition, timestamp_ms=-1) for value in values]


def test_a_write_is_one_transaction(kafka, write):
    with write(2, batch_size_bytes=500) as sink:
        result = sink.write(events(numbers(0, 500)) + events(numbers(500, 1000), 1))
        assert (result.ok, result.written, result.failed) == (True, 1000, 0)
        assert sink.write([]).ok
        assert sink.write(events([b"more"])).ok
        assert visible(kafka, sink) == [*numbers(0, 500), b"more", *numbers(500, 1000)]
        assert sink.metrics.snapshot().messages_produced == 1001
        attributes = raw_attributes(kafka.data_dir, sink.config.topic)
        assert all(each & TRANSACTIONAL for each in attributes)
        assert [each & CONTROL for each in attributes].count(CONTROL) == 2


def test_a_write_that_fails_in_part_is_not_visible_at_all(kafka, write):
    with write(batch_size_bytes=500) as sink:
        assert sink.write(events([b"before"])).ok
        result = sink.write(events([*numbers(0, 1000), b"x" * 3000, *numbers(1000, 1100)]))
        assert (result.written, result.failed, result.bytes) == (0, 1101, 0)
        assert len(result.errors) == 1
        assert "TooLarge" in result.errors[0].code
        assert len(visible(kafka, sink, "read_uncommitted")) > 1, "a part was stored, and is aborted"
        assert sink.write(events([b"after"])).ok
        assert visible(kafka, sink) == [b"before", b"after"]
        assert sink.metrics.snapshot().messages_produced == 2


def test_events_that_cannot_be_encoded_stop_a_write_before_it_begins(kafka, write):
    with write() as sink:
        result = sink.write(events(numbers(0, 3)) + events([b"nowhere"], 7))
        assert (result.written, result.failed) == (0, 4)
        assert isinstance(result.errors[0], InvalidRequestError)
        assert visible(kafka, sink, "read_uncommitted") == []
        assert sink.write(events([b"after"])).ok
        assert visible(kafka, sink) == [b"after"]


def test_a_batch_that_is_too_large_is_split_within_its_transaction(kafka, write):
    made = [b"%d " % i + b"x" * 300 for i in range(40)]
    with write(batch_size_bytes=15_000) as sink:
        result = sink.write(events(made))
        assert (result.ok, result.written) == (True, 40)
        assert sink.write(events([b"after"])).ok
        assert sink.metrics.snapshot().retries > 0
        assert visible(kafka, sink) == [*made, b"after"]


def test_a_fenced_writer_says_so_and_can_go_on(kafka, write):
    with write() as first, KafkaSink(config=first.config) as second:
        assert first.write(events([b"1"])).ok
        assert second.write(events([b"2"])).ok
        result = first.write(events([b"3"]))
        assert (result.written, result.failed) == (0, 1)
        assert isinstance(result.errors[0], FencedError)
        # A new start fences the other one in its turn.
        assert first.write(events([b"4"])).ok
        assert not second.write(events([b"5"])).ok
        assert visible(kafka, first) == [b"1", b"2", b"4"]

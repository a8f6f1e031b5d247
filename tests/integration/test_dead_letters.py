"""Records that cannot be delivered go to the dead letter topic, and the others go on; both directions."""

import base64
import json
import time
from contextlib import closing

import pytest
from kafka import KafkaAdminClient
from rivven_kafka._native import RivvenClient
from rivven_kafka.errors import ConnectError, DeliveryError, EventFormatError
from rivven_kafka.pipeline.dead_letters import DeadLetters

from tests.integration.pipelines import Running, rivven_records
from tests.support.connector import advance, sink_file, source_file, wait_until
from tests.support.ports import LOOPBACK
from tests.support.rivven_wire import RivvenWire
from tests.support.topics import Row, committed_offsets, create_topic, fill, read_topic

pytestmark = pytest.mark.integration

# Kafka deletes records that are a week old, by their own timestamp.
NOW = int(time.time() * 1000)
RAW = {"value_format": "raw", "empty_poll_delay_ms": 20}


def letters(rivven, topic):
    return [(key, json.loads(value)) for key, value in rivven_records(rivven.bootstrap, topic).get(0, [])]


def count(rivven, topic):
    return sum(map(len, rivven_records(rivven.bootstrap, topic).values()))


class Lane:
    """A Kafka topic with tombstones among its records, and a raw source."""

    def __init__(self, kafka, rivven, topic_name):
        self.kafka, self.rivven = kafka, rivven
        self.origin, self.copy, self.dlq = topic_name(), topic_name(), topic_name()
        create_topic(kafka.bootstrap, self.origin, 1)
        self.rows = [
            Row(NOW + i, b"k%d" % i, None if i % 10 == 3 else b"%d" % i, [("h", b"\xff"), ("n", None)])
            for i in range(50)
        ]
        fill(kafka.bootstrap, self.origin, {0: self.rows})

    def document(self, dlq=True, **config):
        document = source_file(
            self.kafka.bootstrap,
            self.rivven.bootstrap,
            self.origin,
            self.copy,
            f"g-{self.origin}",
            **RAW,
            **config,
        )
        if dlq:
            document["sources"]["in"]["dead_letter_topic"] = self.dlq
        return document


@pytest.fixture
def lane(kafka, rivven, topic_name):
    return Lane(kafka, rivven, topic_name)


@pytest.mark.parametrize("config", [{}, {"on_error": "fail", "on_tombstone": "dead_letter"}])
def test_a_source_sends_what_it_cannot_deliver_to_the_dead_letter_topic(lane, config):
    before = time.time()
    with Running(lane.document(**config)) as running:
        wait_until(
            lambda: (
                (count(lane.rivven, lane.copy), count(lane.rivven, lane.dlq)) == (45, 5)
                or running.error is not None
            ),
            30,
            running.describe,
        )
    assert running.error is None
    good = [(row.key, row.value) for row in lane.rows if row.value is not None]
    assert rivven_records(lane.rivven.bootstrap, lane.copy)[0] == good
    found = letters(lane.rivven, lane.dlq)
    assert [key for key, _ in found] == [b"k3", b"k13", b"k23", b"k33", b"k43"]
    first = found[0][1]
    assert (
        before - 1
        < time.mktime(time.strptime(first.pop("timestamp")[:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
    )
    assert "tombstone" in first.pop("error")
    assert first == {
        "original_topic": lane.copy,
        "connector_name": "in",
        "payload_b64": None,
        "retry_count": 0,
        "position": f"{lane.origin}:0:3",
        "key_b64": base64.b64encode(b"k3").decode(),
        "headers": [["h", base64.b64encode(b"\xff").decode()], ["n", None]],
        "record_timestamp": NOW + 3,
    }
    assert committed_offsets(lane.kafka.bootstrap, f"g-{lane.origin}", lane.origin) == {0: 50}
    assert running.pipeline.metrics.snapshot().errors == 5


def test_without_a_dead_letter_topic_the_source_stops_before_the_record(lane):
    with Running(lane.document(dlq=False)) as running:
        error = running.failure()
    assert (getattr(error, "partition", None), getattr(error, "offset", None)) == (0, 3)
    assert committed_offsets(lane.kafka.bootstrap, f"g-{lane.origin}", lane.origin) == {0: 3}


def test_a_position_stays_before_a_record_whose_letter_cannot_be_written(lane, monkeypatch):
    def refuse(self, batch):
        raise ConnectError("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(DeadLetters, "_publish", refuse)
        with Running(lane.document()) as running:
            error = running.failure()
        assert isinstance(error, ConnectError)
        assert committed_offsets(lane.kafka.bootstrap, f"g-{lane.origin}", lane.origin) == {0: 3}
    with Running(lane.document()) as running:
        wait_until(
            lambda: count(lane.rivven, lane.dlq) == 5 or running.error is not None, 30, running.describe
        )
    assert running.error is None


def test_on_tombstone_leaves_other_bad_records_to_on_error(lane):
    document = lane.document(on_tombstone="dead_letter", on_error="fail")
    document["sources"]["in"]["transforms"] = [
        {"type": "add_field", "config": {"field": "data.a", "value": 1}},
    ]
    # The values are numbers: nothing can be added to the first one.
    with Running(document) as running:
        error = running.failure()
    assert isinstance(error, EventFormatError)
    assert (error.partition, error.offset) == (0, 0)
    assert rivven_records(lane.rivven.bootstrap, lane.copy) == {0: []}
    assert count(lane.rivven, lane.dlq) == 0


def test_a_rebalance_sends_no_letter_twice(kafka, rivven, topic_name):
    origin, copy, dlq = topic_name(), topic_name(), topic_name()
    create_topic(kafka.bootstrap, origin, 4)
    rows = {
        p: [Row(NOW, None, None if i % 7 == 3 else b"%d" % i, []) for i in range(1_500)] for p in range(4)
    }
    fill(kafka.bootstrap, origin, rows)
    # Nobody dies here: a session that ended on a busy machine would be another test.
    options = {**RAW, "session_timeout_ms": 30_000, "heartbeat_interval_ms": 100}
    document = source_file(kafka.bootstrap, rivven.bootstrap, origin, copy, f"g-{origin}", **options)
    document["sources"]["in"]["dead_letter_topic"] = dlq
    letters_wanted = sum(row.value is None for partition in rows.values() for row in partition)
    with Running(document) as running:
        for least in (1_000, 2_000):
            advance(lambda: count(rivven, copy), least - count(rivven, copy))
            with Running(document) as other:
                wait_until(lambda: other.pipeline.assigned_since is not None, 30, other.describe)
            assert other.error is None
        wait_until(
            lambda: (
                sum(committed_offsets(kafka.bootstrap, f"g-{origin}", origin).values()) == 6_000
                or running.error is not None
            ),
            60,
            running.describe,
        )
    assert running.error is None
    assert (count(rivven, copy), count(rivven, dlq)) == (6_000 - letters_wanted, letters_wanted)


@pytest.mark.parametrize("transactional", [False, True])
def test_a_sink_sends_what_it_cannot_deliver_to_the_dead_letter_topic(
    kafka, rivven, topic_name, transactional
):
    origin, target, dlq = topic_name(), topic_name(), topic_name()
    client = RivvenClient([rivven.bootstrap])
    client.create_topic(origin, 1)
    values = [b'{"event_type":"record"' if i % 10 == 3 else b"%d" % i for i in range(40)]
    event = b'{"event_type":"record","stream":"s","namespace":null,"timestamp":"2026-01-31T12:00:00Z","data":%s,"metadata":{}}'
    client.publish(
        origin, 0, [(b"k%d" % i, value if i % 10 == 3 else event % value) for i, value in enumerate(values)]
    )
    create_topic(kafka.bootstrap, target, 1)
    options = {"transactional_id": f"tx-{origin}"} if transactional else {}
    document = sink_file(
        kafka.bootstrap, rivven.bootstrap, origin, target, f"g-{origin}", value_format="event", **options
    )
    document["sinks"]["out"]["dead_letter_topic"] = dlq
    with Running(document) as running:
        wait_until(
            lambda: (
                (running.pipeline.delivered(), count(rivven, dlq)) == (36, 4) or running.error is not None
            ),
            30,
            running.describe,
        )
        wait_until(lambda: client.committed_offset(f"g-{origin}", origin, 0) == 40, 20, running.describe)
    client.close()
    assert running.error is None
    assert len(read_topic(kafka.bootstrap, target, "read_committed")[0]) == 36
    key, letter = letters(rivven, dlq)[0]
    assert key == b"k3"
    assert letter["original_topic"] == target
    assert letter["position"] == f"{origin}:0:3"
    assert base64.b64decode(letter["payload_b64"]) == values[3]


@pytest.mark.parametrize("transactional", [False, True])
def test_a_sink_whose_letters_cannot_be_written_writes_nothing_behind_the_record(
    kafka, rivven, topic_name, monkeypatch, transactional
):
    origin, target, dlq = topic_name(), topic_name(), topic_name()
    client = RivvenClient([rivven.bootstrap])
    client.create_topic(origin, 1)
    event = b'{"event_type":"record","stream":"s","namespace":null,"timestamp":"2026-01-31T12:00:00Z","data":%d,"metadata":{}}'
    client.publish(origin, 0, [(None, b"bad" if i == 3 else event % i) for i in range(8)])
    create_topic(kafka.bootstrap, target, 1)
    options = {"transactional_id": f"tx-{origin}"} if transactional else {}
    document = sink_file(
        kafka.bootstrap, rivven.bootstrap, origin, target, f"g-{origin}", value_format="event", **options
    )
    document["sinks"]["out"]["dead_letter_topic"] = dlq

    def refuse(self, batch):
        raise ConnectError("no answer")

    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(DeadLetters, "_publish", refuse)
            with Running(document) as running:
                assert isinstance(running.failure(), ConnectError)
    with Running(document) as running:
        wait_until(
            lambda: client.committed_offset(f"g-{origin}", origin, 0) == 8 or running.error is not None,
            30,
            running.describe,
        )
    client.close()
    assert running.error is None
    isolation = {"isolation_level": "read_committed"} if transactional else {}
    found = [row.value for row in read_topic(kafka.bootstrap, target, **isolation)[0]]
    assert found == [b"%d" % i for i in range(8) if i != 3]
    assert count(rivven, dlq) == 1


@pytest.mark.parametrize("on_error", ["skip", "dead_letter"])
def test_a_partition_that_kafka_lacks_is_not_one_that_came_later(kafka, rivven, topic_name, on_error):
    origin, target, dlq = topic_name(), topic_name(), topic_name()
    client = RivvenClient([rivven.bootstrap])
    client.create_topic(origin, 2)
    create_topic(kafka.bootstrap, target, 1)
    document = sink_file(
        kafka.bootstrap, rivven.bootstrap, origin, target, f"g-{origin}",
        partitioning="preserve", on_error=on_error,
    )  # fmt: skip
    document["broker"]["metadata_refresh_ms"] = 500
    if on_error == "dead_letter":
        document["sinks"]["out"]["dead_letter_topic"] = dlq

    def committed(partition):
        return client.committed_offset(f"g-{origin}", origin, partition)

    client.publish(origin, 1, [(None, b"no counterpart")])
    with Running(document) as running:
        wait_until(lambda: committed(1) == 1 or running.error is not None, 30, running.describe)
        assert running.error is None
        # Kafka first, so that no record is ever without a place.
        with closing(KafkaAdminClient(bootstrap_servers=kafka.bootstrap)) as admin:
            admin.create_partitions({target: 3})
        with RivvenWire(LOOPBACK, rivven.port) as wire:
            wire.create_partitions(origin, 3)
        client.publish(origin, 2, [(None, b"%d" % i) for i in range(5)])
        error = running.failure()
    assert isinstance(error, DeliveryError)
    assert "has grown from 1 to 3 partitions" in str(error)
    assert not committed(2)
    with Running(document) as running:
        wait_until(lambda: committed(2) == 5 or running.error is not None, 30, running.describe)
    assert running.error is None
    client.close()
    found = {p: [row.value for row in rows] for p, rows in read_topic(kafka.bootstrap, target).items()}
    assert found == {0: [], 1: [], 2: [b"%d" % i for i in range(5)]}
    assert count(rivven, dlq) == (on_error == "dead_letter")

"""The options of a sink, by what arrives in a real Kafka."""

import threading
import time
from datetime import UTC, datetime

import pytest
from kafka.partitioner.default import murmur2
from rivven_kafka._native import RivvenClient
from rivven_kafka.errors import EventFormatError, UnknownTopicError
from rivven_kafka.pipeline import sink_pipeline

from tests.integration.pipelines import Running
from tests.support.connector import sink_file, wait_until
from tests.support.topics import create_topic, end_offsets, read_topic

pytestmark = pytest.mark.integration


def event(data):
    return (
        b'{"event_type":"insert","stream":"users","namespace":"db","data":%b,"metadata":{"position":"7"}}'
        % data
    )


class Bridge:
    """A Rivven topic, and the Kafka topic that a sink makes of it."""

    def __init__(self, kafka, rivven, topic_name, partitions, kafka_partitions):
        self.kafka, self.rivven = kafka, rivven
        self.origin, self.copy = topic_name(), topic_name()
        self.group = f"g-{self.origin}"
        self.client = RivvenClient([rivven.bootstrap])
        self.client.create_topic(self.origin, partitions)
        create_topic(kafka.bootstrap, self.copy, kafka_partitions or partitions)

    def publish(self, *records, partition=0):
        """Appends (key, value) records."""
        self.client.publish(self.origin, partition, list(records))

    def document(self, start=None, **config):
        config = {"include_headers": False, **config}
        document = sink_file(
            self.kafka.bootstrap, self.rivven.bootstrap, self.origin, self.copy, self.group, **config
        )
        if start is not None:
            document["sinks"]["out"]["start_offset"] = start
        return document

    def count(self):
        return sum(end_offsets(self.kafka.bootstrap, self.copy).values())

    def committed(self, partition=0):
        return self.client.committed_offset(self.group, self.origin, partition)

    def run(self, count, start=None, **config):
        """Runs a sink until `count` records have arrived."""
        with Running(self.document(start, **config)) as running:
            self.wait(running, count)
        assert running.error is None
        return read_topic(self.kafka.bootstrap, self.copy)

    def wait(self, running, count):
        wait_until(lambda: self.count() >= count or running.error is not None, 30, running.describe)


@pytest.fixture
def bridge(kafka, rivven, topic_name):
    bridges = []

    def make(partitions=1, kafka_partitions=None):
        bridges.append(Bridge(kafka, rivven, topic_name, partitions, kafka_partitions))
        return bridges[-1]

    yield make
    for made in bridges:
        made.client.close()


def values(rows, partition=0):
    return [row.value for row in rows[partition]]


def numbers(first, last):
    return [(None, b"%d" % i) for i in range(first, last)]


def test_raw_values_pass_unchanged(bridge):
    pipe = bridge(2)
    records = {p: [(None if i % 2 else b"\x00k", b"\xff%d/%d" % (p, i)) for i in range(10)] for p in range(2)}
    for partition, mine in records.items():
        pipe.publish(*mine, (b"", b""), partition=partition)
    rows = pipe.run(22)
    for partition, mine in records.items():
        assert [(row.key, row.value) for row in rows[partition]][:10] == mine
        last = rows[partition][10]
        assert (last.value, last.headers) == (b"", [])
        assert last.key in (b"", None), "Rivven does not tell them apart"
        assert abs(last.timestamp / 1000 - time.time()) < 60
    assert [pipe.committed(partition) for partition in records] == [11, 11]


def test_the_next_run_goes_on(bridge):
    pipe = bridge()
    pipe.publish(*numbers(0, 10))
    assert values(pipe.run(10)) == [value for _, value in numbers(0, 10)]
    pipe.publish(*numbers(10, 15))
    assert values(pipe.run(15)) == [value for _, value in numbers(0, 15)]


@pytest.mark.symptom("The sink writes nothing.")
def test_latest_starts_with_what_comes(bridge):
    pipe = bridge()
    pipe.publish(*numbers(0, 10))
    with Running(pipe.document("latest")) as running:
        # The first position is committed before anything is read, so that a restart does not skip.
        wait_until(lambda: pipe.committed() == 10, 20, running.describe)
        pipe.publish(*numbers(10, 13))
        pipe.wait(running, 3)
    assert values(read_topic(pipe.kafka.bootstrap, pipe.copy)) == [value for _, value in numbers(10, 13)]


def test_a_timestamp_starts_with_the_first_record_since(bridge):
    pipe = bridge()
    pipe.publish(*numbers(0, 5))
    time.sleep(0.5)
    moment = datetime.now(UTC)
    time.sleep(0.5)
    pipe.publish(*numbers(5, 9))
    rows = pipe.run(4, {"timestamp": moment.isoformat()})
    assert values(rows) == [value for _, value in numbers(5, 9)]


def test_a_key_field_partitions_by_key(bridge):
    pipe = bridge(1, 4)
    pipe.publish(*[(b"rivven", b'{"id": "u%d"}' % i) for i in range(30)], (b"rivven", b"no json"))
    rows = pipe.run(31, key_field="id")
    seen = {row.key: partition for partition, found in rows.items() for row in found}
    keys = [b"rivven", *(b"u%d" % i for i in range(30))]
    assert seen == {key: (murmur2(key) & 0x7FFFFFFF) % 4 for key in keys}


def test_headers_tell_where_a_record_comes_from(bridge):
    pipe = bridge()
    pipe.publish((b"k", b"v"))
    options = {"include_headers": True, "custom_headers": {"source": "rivven", "env": "test"}}
    [row] = pipe.run(1, **options)[0]
    assert row.headers == [
        ("source", b"rivven"),
        ("env", b"test"),
        ("rivven_stream", pipe.origin.encode()),
        ("rivven_event_type", b"record"),
        ("rivven_position", f"{pipe.origin}:0:0".encode()),
    ]


def test_a_bad_event_stops_the_sink_before_it_and_skip_goes_on(bridge):
    pipe = bridge()
    pipe.publish((None, event(b"1")), (None, event(b"2")), (None, b"no event"), (None, event(b"3")))
    with Running(pipe.document(value_format="event")) as running:
        error = running.failure()
    assert isinstance(error, EventFormatError)
    assert (error.topic, error.partition, error.offset) == (pipe.origin, 0, 2)
    assert (pipe.committed() or 0) <= 2
    assert b"3" not in values(read_topic(pipe.kafka.bootstrap, pipe.copy))
    already = pipe.count()
    again = 3 - (pipe.committed() or 0)
    with Running(pipe.document(value_format="event", on_error="skip")) as running:
        pipe.wait(running, already + again)
        wait_until(lambda: pipe.committed() == 4, 20, running.describe)
        assert running.pipeline.metrics.snapshot().errors == 1
    found = values(read_topic(pipe.kafka.bootstrap, pipe.copy))
    # At least once: what was delivered before the error may be there twice.
    assert list(dict.fromkeys(found)) == [b"1", b"2", b"3"]


def test_a_missing_kafka_topic_stops_the_sink(bridge):
    pipe = bridge()
    pipe.copy += "-missing"
    with Running(pipe.document()) as running:
        error = running.failure()
    assert isinstance(error, UnknownTopicError)
    assert pipe.copy in str(error)


@pytest.mark.parametrize(
    "committing", [False, True], ids=["at its next heartbeat", "before its next heartbeat"]
)
def test_a_sink_that_was_away_does_not_set_the_position_of_its_successor_back(
    bridge, monkeypatch, committing
):
    pipe = bridge()
    pipe.publish(*[(None, b"%d" % number) for number in range(100)])
    group = {"session_timeout_ms": 2_000, "heartbeat_interval_ms": 100}
    away, back = threading.Event(), threading.Event()
    # At one of them it is in the middle of its loop, and what follows is a commit that is due.
    seam = "_commit_if_due" if committing else "_look_around"
    go_on = getattr(sink_pipeline.SinkPipeline, seam)

    def late(self):
        if self is slow.pipeline and self.delivered() >= 100 and not away.is_set():
            away.set()
            assert back.wait(30)
            self._next_commit = 0.0
        go_on(self)

    monkeypatch.setattr(sink_pipeline.SinkPipeline, seam, late)
    slow = Running(pipe.document(commit_interval_ms=60_000, **group))
    with slow:
        assert away.wait(20)
        assert pipe.committed() == 0
        with Running(pipe.document(commit_interval_ms=50, **group)) as quick:
            wait_until(lambda: pipe.committed() == 100, 20, quick.describe)
            pipe.publish(*[(None, b"%d" % number) for number in range(100, 150)])
            wait_until(lambda: pipe.committed() == 150, 20, quick.describe)
            back.set()
            # It has joined again when it was assigned its share.
            wait_until(lambda: slow.pipeline.observed.rebalances >= 2, 20, slow.describe)
            assert pipe.committed() == 150
    assert (slow.error, quick.error) == (None, None)

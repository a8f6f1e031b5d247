"""How fast records pass and how often positions are committed, when the configuration says so."""

import time

import pytest
from rivven_kafka._native import RivvenClient
from rivven_kafka.errors import ConfigError

from tests.integration.pipelines import Running, rivven_records
from tests.support.connector import sink_file, source_file, wait_until
from tests.support.topics import Row, create_topic, fill, read_topic

pytestmark = pytest.mark.integration

# Kafka deletes records that are a week old, by their own timestamp.
NOW = int(time.time() * 1000)


@pytest.fixture
def client(rivven):
    client = RivvenClient([rivven.bootstrap])
    yield client
    client.close()


@pytest.fixture
def source(kafka, rivven, topic_name):
    """A function that fills a Kafka topic, and returns a source for it and its Rivven topic."""

    def make(count, rate_limit, **config):
        origin, copy = topic_name(), topic_name()
        create_topic(kafka.bootstrap, origin, 1)
        fill(kafka.bootstrap, origin, {0: [Row(NOW, None, b"%d" % i, []) for i in range(count)]})
        document = source_file(
            kafka.bootstrap, rivven.bootstrap, origin, copy, f"g-{origin}", empty_poll_delay_ms=20, **config
        )
        document["sources"]["in"]["rate_limit"] = rate_limit
        return document, copy

    return make


@pytest.fixture
def sink(kafka, rivven, client, topic_name):
    """A function that fills a Rivven topic, and returns a sink for it and both topics."""

    def make(counts, entry=None, **config):
        origin, target = topic_name(), topic_name()
        client.create_topic(origin, len(counts))
        create_topic(kafka.bootstrap, target, len(counts))
        for partition, number in enumerate(counts):
            records = [(None, b"%d" % i) for i in range(number)]
            for start in range(0, number, 200):
                client.publish(origin, partition, records[start : start + 200])
        document = sink_file(kafka.bootstrap, rivven.bootstrap, origin, target, f"g-{origin}", **config)
        document["sinks"]["out"] |= entry or {}
        return document, origin, target

    return make


def test_a_source_keeps_to_its_rate(source, rivven):
    # 300 records at 100/s with a burst of 20: not before 2.8 s.
    document, copy = source(300, {"events_per_second": 100, "burst_size": 20})
    start = time.monotonic()
    with Running(document) as running:
        wait_until(
            lambda: running.pipeline.delivered() >= 300 or running.error is not None, 30, running.describe
        )
    assert time.monotonic() - start >= 2.8
    assert running.error is None
    assert running.pipeline.metrics.snapshot().max_batch_size <= 20
    assert len(rivven_records(rivven.bootstrap, copy)[0]) == 300


def test_a_source_without_a_limit_is_faster(source):
    document, _ = source(300, {})
    with Running(document) as running:
        wait_until(
            lambda: running.pipeline.delivered() >= 300 or running.error is not None, 30, running.describe
        )
    assert running.pipeline.metrics.snapshot().max_batch_size > 20


def test_a_source_keeps_few_records_in_flight(source):
    document, _ = source(400, {"max_in_flight": 30}, max_poll_records=500)
    most = 0
    with Running(document) as running:

        def done():
            nonlocal most
            publisher = running.pipeline._publisher
            if publisher is not None:
                most = max(most, publisher.in_flight_records())
            return running.pipeline.delivered() >= 400 or running.error is not None

        deadline = time.monotonic() + 30
        while not done():
            assert time.monotonic() < deadline, running.describe()
            time.sleep(0.001)
    assert running.error is None
    assert 0 < most <= 30


def test_a_sink_keeps_to_its_rate(sink, kafka):
    document, _, target = sink([300], {"rate_limit": {"events_per_second": 100, "burst_capacity": 20}})
    start = time.monotonic()
    with Running(document) as running:
        wait_until(
            lambda: running.pipeline.delivered() >= 300 or running.error is not None, 30, running.describe
        )
    assert time.monotonic() - start >= 2.7
    assert running.error is None
    assert [row.value for row in read_topic(kafka.bootstrap, target)[0]] == [b"%d" % i for i in range(300)]


def test_a_sink_commits_after_a_number_of_records(sink, client):
    patient = {"commit_interval_ms": 600_000}
    document, origin, _ = sink([250], {"offset_commit_interval": 100}, **patient)
    group = f"g-{origin}"
    with Running(document) as running:
        wait_until(lambda: (client.committed_offset(group, origin, 0) or 0) >= 100, 20, running.describe)
    assert client.committed_offset(group, origin, 0) == 250


def test_a_sink_commits_by_time_only_unless_told(sink, client):
    document, origin, _ = sink([250], commit_interval_ms=600_000)
    group = f"g-{origin}"
    with Running(document) as running:
        wait_until(lambda: running.pipeline.delivered() == 250, 20, running.describe)
        # The first commit comes at once and holds the position where it started.
        assert client.committed_offset(group, origin, 0) < 250
    assert client.committed_offset(group, origin, 0) == 250


def test_a_sink_starts_at_an_offset_for_each_partition(sink, kafka):
    document, origin, target = sink([5, 6, 7])
    document["sinks"]["out"]["start_offset"] = {"offsets": {origin: {0: 3, 2: 7}}}
    with Running(document) as running:
        wait_until(
            lambda: running.pipeline.delivered() >= 8 or running.error is not None, 20, running.describe
        )
    assert running.error is None
    found = {p: [row.value for row in rows] for p, rows in read_topic(kafka.bootstrap, target).items()}
    assert found == {0: [b"3", b"4"], 1: [b"%d" % i for i in range(6)], 2: []}


def test_partitions_that_are_not_listed_start_as_told(sink, kafka, client):
    document, origin, target = sink([5, 6])
    start = {"offsets": {origin: {0: 4}}, "otherwise": "latest"}
    document["sinks"]["out"]["start_offset"] = start
    with Running(document) as running:
        wait_until(
            lambda: running.pipeline.delivered() >= 1 or running.error is not None, 20, running.describe
        )
        client.publish(origin, 1, [(None, b"new")])
        wait_until(
            lambda: running.pipeline.delivered() >= 2 or running.error is not None, 20, running.describe
        )
    found = {p: [row.value for row in rows] for p, rows in read_topic(kafka.bootstrap, target).items()}
    assert found == {0: [b"4"], 1: [b"new"]}


def test_a_partition_that_does_not_exist_is_refused(sink):
    document, origin, _ = sink([5])
    document["sinks"]["out"]["start_offset"] = {"offsets": {origin: {0: 1, 9: 2}}}
    with Running(document) as running:
        error = running.failure()
    assert isinstance(error, ConfigError)
    assert str(error) == f"start_offset: got partition 9: the topic has 1 partitions [{origin}]"


def test_an_offset_outside_of_the_log_is_refused(sink):
    document, origin, _ = sink([5])
    document["sinks"]["out"]["start_offset"] = {"offsets": {origin: {0: 6}}}
    with Running(document) as running:
        error = running.failure()
    assert isinstance(error, ConfigError)
    assert str(error) == f"start_offset: got 6: the log has the offsets 0 to 5 [{origin}:0]"

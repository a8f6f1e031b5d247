"""Options of a source that show between it and Rivven: each by its effect on the real brokers, behind taps."""

import contextlib
import signal
import time
from functools import partial

import pytest
from rivven_kafka import KafkaSource
from rivven_kafka._native import RivvenClient

from tests.integration.pipelines import Running, rivven_records
from tests.support.connector import Connector, sink_file, source_file, wait_until
from tests.support.kafka_tap import ApiKey
from tests.support.rivven_tap import RivvenApi
from tests.support.topics import Row, create_topic, end_offsets, fill, read_topic

pytestmark = pytest.mark.integration

# Kafka deletes records that are a week old, by their own timestamp.
NOW = int(time.time() * 1000)
MIB = 1 << 20


class Bridge:
    """A filled Kafka topic, and the Rivven topic that a source makes of it, seen through both taps."""

    def __init__(self, tapped, rivven_tap, topic_name, rows):
        self.tapped, self.rivven_tap = tapped, rivven_tap
        self.origin, self.copy = topic_name(), topic_name()
        create_topic(tapped.bootstrap, self.origin, len(rows))
        fill(tapped.bootstrap, self.origin, dict(enumerate(rows)))

    def document(self, **config):
        config = {"empty_poll_delay_ms": 20, "heartbeat_interval_ms": 200, **config}
        return source_file(
            *(self.tapped.tap.address, self.rivven_tap.address, self.origin, self.copy, f"g-{self.origin}"),
            **config,
        )

    def records(self):
        return rivven_records(self.rivven_tap.address, self.copy)

    def wait(self, running, count):
        wait_until(
            lambda: sum(map(len, self.records().values())) >= count or running.error is not None,
            30,
            running.describe,
        )
        assert running.error is None

    def run(self, count, **config):
        """Runs a source until `count` records have arrived; returns its publish requests."""
        self.rivven_tap.clear()
        with Running(self.document(**config)) as running:
            self.wait(running, count)
        return self.rivven_tap.exchanges(RivvenApi.PUBLISH_BATCH)


@pytest.fixture
def bridge(tapped, rivven_tap, topic_name):
    return lambda *rows: Bridge(tapped, rivven_tap, topic_name, rows)


def rows(count, value=b"v"):
    return [Row(NOW, b"k%d" % number, value, []) for number in range(count)]


@pytest.mark.parametrize("client_id", [None, "a name"])
def test_client_id_reaches_both_brokers(bridge, client_id):
    pipe = bridge(rows(1))
    with Running(pipe.document(client_id=client_id)) as running:
        wait_until(lambda: running.pipeline.delivered() == 1, 20, running.describe)
    shown = client_id or "in"
    handshakes = pipe.rivven_tap.exchanges(RivvenApi.HANDSHAKE)
    assert {exchange.client_id() for exchange in handshakes} == {shown}
    assert {exchange.client_id for exchange in pipe.tapped.tap.exchanges()} == {shown}


@pytest.mark.parametrize(
    ("partitions", "options", "expected"),
    [
        (1, {"ordering": "key", "connections": 8}, 8),
        (1, {"ordering": "key", "connections": 3}, 3),
        (6, {"ordering": "partition", "connections": 2}, 2),
        (6, {"ordering": "partition"}, 6),
    ],
)
def test_connections(bridge, partitions, options, expected):
    pipe = bridge(*[rows(60)] * partitions)
    requests = pipe.run(60 * partitions, **options)
    assert len({request.connection for request in requests}) == expected


def test_max_batch_records(bridge):
    pipe = bridge(rows(100))
    assert max(request.record_count() for request in pipe.run(100, max_batch_records=7)) == 7
    pipe = bridge(rows(100))
    assert max(request.record_count() for request in pipe.run(100)) > 7


def test_max_request_size(bridge):
    pipe = bridge(rows(100, b"x" * 1000))
    assert 3000 < max(len(request.body) for request in pipe.run(100, max_request_size=4096)) <= 4096
    pipe = bridge(rows(100, b"x" * 1000))
    assert max(len(request.body) for request in pipe.run(100)) > 4096


def fetched_bytes(tap):
    """Bytes of whole batches: what is cut off at the end of a partition's part is fetched again."""
    return sum(batch.size for exchange in tap.exchanges(ApiKey.Fetch) for batch in exchange.batches())


def silent(tap, seconds):
    """Whether nothing has been fetched for that long."""
    times = [exchange.sent for exchange in tap.exchanges(ApiKey.Fetch)]
    return bool(times) and time.monotonic() - times[-1] > seconds


def test_max_in_flight_bytes_bounds_what_is_read_while_rivven_does_not_answer(bridge):
    pipe = bridge(*[rows(5000, b"x" * 1000)] * 4)
    read = {}
    for limit in (MIB, 10 * MIB):
        pipe.tapped.tap.clear()
        options = {"max_in_flight_bytes": limit, "max_partition_fetch_bytes": 100_000}
        with pipe.rivven_tap.drop(RivvenApi.PUBLISH_BATCH):
            with Running(pipe.document(shutdown_timeout_ms=0, **options)) as running:
                wait_until(lambda: silent(pipe.tapped.tap, 1), 30, running.describe)
                read[limit] = fetched_bytes(pipe.tapped.tap)
            assert "shutdown_timeout_ms" in str(running.error)
    # Up to two fetches and a poll are read beyond the limit.
    assert 0.9 * MIB < read[MIB] < 2.5 * MIB
    assert 9 * MIB < read[10 * MIB] < 12 * MIB


def test_empty_poll_delay_passes_before_the_next_look(bridge):
    """A position is committed by the look that follows its acknowledgement."""
    waited = {}
    for delay_ms in (20, 1500):
        pipe = bridge(rows(1))
        pipe.tapped.tap.clear()
        options = {"empty_poll_delay_ms": delay_ms, "enable_auto_commit": False}
        with (
            pipe.rivven_tap.delay(RivvenApi.PUBLISH_BATCH, 0.2) as published,
            Running(pipe.document(**options)) as running,
        ):
            committed = partial(pipe.tapped.tap.exchanges, ApiKey.OffsetCommit)
            wait_until(committed, 20, running.describe)
        [acknowledged] = published.hits
        waited[delay_ms] = committed()[0].sent - acknowledged.answered
    assert waited[20] < waited[1500]
    # The look began before the acknowledgement, which came 0.2 s late.
    assert waited[1500] > 1.0


def test_a_source_whose_session_ends_loses_its_partitions(bridge, tmp_path):
    """It is frozen, so Kafka hears no heartbeat; the default of 30 s would let the other one wait."""
    pipe = bridge(rows(10))
    document = pipe.document(session_timeout_ms=1000, auto_commit_interval_ms=600_000)
    with Connector(tmp_path, document) as connector:
        wait_until(lambda: sum(map(len, pipe.records().values())) == 10, 30, connector.log_tail)
        connector.send(signal.SIGSTOP)
        frozen = time.monotonic()
        options = {"consumer_group": f"g-{pipe.origin}", "empty_poll_delay_ms": 20}
        with KafkaSource(brokers=pipe.tapped.bootstrap, topic=pipe.origin, **options).read() as stream:
            assert next(stream).offset == 0
        assert time.monotonic() - frozen < 15
        connector.send(signal.SIGCONT)


def test_what_a_round_trip_keeps_without_key_and_headers_in_the_metadata(bridge, tapped, rivven, topic_name):
    """The Rivven record has the key anyhow; headers that are not in the metadata are gone."""
    row = Row(NOW, b"key", b'{"a": 1}', [("h", b"1")])
    found = {}
    for include in (True, False):
        pipe = bridge([row])
        back = topic_name()
        create_topic(tapped.bootstrap, back, 1)
        sink = sink_file(
            *(tapped.bootstrap, rivven.bootstrap, pipe.copy, back, f"g-{back}"),
            value_format="event",
            include_headers=False,
        )
        with contextlib.ExitStack() as stack:
            running = stack.enter_context(
                Running(pipe.document(include_headers=include, include_key=include))
            )
            pipe.wait(running, 1)
            running = stack.enter_context(Running(sink))
            wait_until(lambda b=back: end_offsets(tapped.bootstrap, b) == {0: 1}, 20, running.describe)
        [found[include]] = read_topic(tapped.bootstrap, back)[0]
    assert found == {True: row, False: row._replace(headers=[])}


def topic_options(document, settings=None, own=None):
    document["settings"] = {"topic": settings or {}}
    document["sources"]["in"]["topic_config"] = own or {}
    return document


@pytest.mark.parametrize(
    ("settings", "own", "expected"),
    [
        ({}, {}, 1),
        ({"default_partitions": 3}, {}, 3),
        ({"default_partitions": 3}, {"partitions": 2}, 2),
        ({"auto_create": False}, {"auto_create": True}, 1),
        ({"auto_create": False}, {}, None),
        ({}, {"auto_create": False}, None),
    ],
)
def test_creation_of_the_rivven_topic(bridge, rivven, settings, own, expected):
    pipe = bridge(rows(1))
    with Running(topic_options(pipe.document(partitioning="key"), settings, own)) as running:
        wait_until(
            lambda: running.error is not None or running.pipeline.delivered() == 1, 20, running.describe
        )
    with contextlib.closing(RivvenClient([rivven.bootstrap])) as client:
        assert client.partition_count(pipe.copy) == expected
    assert (running.error is None) == (expected is not None)

"""The integration tests of the sink that the documented Rust connector names."""

import threading

import pytest
from rivven_kafka import KafkaSink, SourceEvent
from rivven_kafka.errors import ConfigError

from tests.integration.connector_kit import NOW, events, failure, filled, sink, source, take
from tests.integration.pipelines import Running
from tests.support.connector import sink_file, wait_until
from tests.support.numbered import Arrivals, fill_rivven, kafka_values, numbered
from tests.support.proxied_kafka import ProxiedKafka
from tests.support.segments import stored_batches
from tests.support.topics import Row, create_topic, end_offsets, read_topic

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


def test_kafka_sink_check(kafka, topic_name):
    name, missing = filled(kafka, topic_name(), 0, 0, 0), topic_name()
    good = sink(kafka, name).check()
    assert good.ok
    assert {"connectivity", "authentication", "topic", "authorization"} <= {
        check.name for check in good.checks
    }
    for found in (kafka.bootstrap, name):
        assert any(found in check.detail for check in good.checks)
    assert missing in failure(sink(kafka, missing).check())
    nowhere = KafkaSink(brokers="127.0.0.1:1", topic=name, request_timeout_ms=1000)
    assert "127.0.0.1:1" in failure(nowhere.check())
    with pytest.raises(ConfigError, match="acks: got 'most'"):
        sink(kafka, name, acks="most")
    assert end_offsets(kafka.bootstrap, name) == {0: 0, 1: 0, 2: 0}, "nothing was written"


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_kafka_sink_compression(kafka, topic_name, codec):
    name = filled(kafka, topic_name(), 0)
    values = [b'{"n": %d, "filler": "%s"}' % (number, b"x" * 200) for number in range(2_000)]
    plain = sum(map(len, values))
    with sink(kafka, name, compression=codec, batch_size_bytes=65_536) as writer:
        result = writer.write(events(values, key=b"k", headers=[("h", b"1")]))
    assert (result.written, result.errors) == (len(values), ())
    batches = stored_batches(kafka, name)
    assert {batch.codec for batch in batches} == {codec}
    assert sum(batch.record_count for batch in batches) == len(values)
    stored = sum(batch.size_bytes for batch in batches)
    assert stored == result.bytes, "Kafka keeps the batches as they came"
    assert (stored < plain / 4) is (codec != "none")
    # kafka-python checks the checksums and decompresses with libraries of its own.
    rows = read_topic(kafka.bootstrap, name)[0]
    assert rows == [Row(NOW, b"k", value, [("h", b"1")]) for value in values]
    with source(kafka, name).read() as stream:
        assert [event.value for event in take(stream, len(values))] == values


def test_kafka_sink_custom_headers(kafka, rivven, topic_name):
    custom = {"source": "rivven", "environment": "production", "ключ": "значение", "empty": ""}
    added = [(name, value.encode()) for name, value in custom.items()]
    name, own = filled(kafka, topic_name(), 0), [("source", b"own"), ("null", None)]
    with sink(kafka, name, custom_headers=custom, compression="lz4", batch_size_bytes=2_000) as writer:
        assert writer.write(events([b"%d" % i for i in range(500)], headers=own)).ok
    assert len(stored_batches(kafka, name)) > 1
    rows = read_topic(kafka.bootstrap, name)[0]
    assert len(rows) == 500
    assert all(row.headers == [*own, *added] for row in rows), "in every record, and beside those it has"
    # What Rivven knows of a record comes after them.
    origin, copy = topic_name(), filled(kafka, topic_name(), 0)
    fill_rivven(rivven.bootstrap, origin, 1, 10)
    document = sink_file(
        kafka.bootstrap,
        rivven.bootstrap,
        origin,
        copy,
        f"g-{origin}",
        custom_headers=custom,
        include_headers=True,
    )
    with Running(document) as running:
        wait_until(lambda: running.pipeline.delivered() == 10 or running.error, 30, running.describe)
    assert running.error is None
    for number, row in enumerate(read_topic(kafka.bootstrap, copy)[0]):
        assert row.headers == [
            *added,
            ("rivven_stream", origin.encode()),
            ("rivven_event_type", b"record"),
            ("rivven_position", f"{origin}:0:{number}".encode()),
        ]


PARTITIONS, COUNT = 3, 1_000
DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def proxied():
    with ProxiedKafka() as broker:
        yield broker


def write_numbered(broker, topic, *, idempotent=True, timestamp=NOW):
    """Writes numbered records through the proxy; every one of them gets acknowledged in the end."""
    options = {"retries": 1000, "retry_backoff_ms": 20, "batch_size_bytes": 500, "request_timeout_ms": 10_000}
    made = [
        SourceEvent("t", value, partition=partition, timestamp_ms=timestamp)
        for partition in range(PARTITIONS)
        for _, _, value, _ in numbered(partition, range(COUNT))
    ]
    with KafkaSink(
        brokers=broker.proxy.address, topic=topic, include_headers=False, idempotent=idempotent, **options
    ) as writer:
        result = writer.write(made)
        assert (result.written, result.errors) == (len(made), ())
        assert writer.metrics.snapshot().retries > 0


def write_through_a_crash(broker, topic, **options):
    """`write_numbered` to a Kafka that is killed with batches stored and not acknowledged, and comes back."""
    gone = threading.Event()
    produced = []

    def kill_once(number):
        produced.append(number)
        if len(produced) == 20:
            broker.kill()
            gone.set()
        return gone.is_set()

    def restart():
        assert gone.wait(60)
        broker.start().wait_ready()
        broker.proxy.loses = lambda number: False

    broker.proxy.loses = kill_once
    restarting = threading.Thread(target=restart)
    restarting.start()
    write_numbered(broker, topic, **options)
    restarting.join()


def arrivals(broker, topic):
    return Arrivals.of(kafka_values(broker.bootstrap, topic), PARTITIONS, COUNT)


def test_kafka_sink_idempotent(proxied, topic_name):
    """Answers get lost after Kafka has stored the records, and Kafka itself is killed at such a moment."""
    plain, once, killed = topic_name(), topic_name(), topic_name()
    for name in (plain, once, killed):
        create_topic(proxied.bootstrap, name, PARTITIONS)
    proxied.proxy.loses = lambda number: number % 10 == 5
    write_numbered(proxied, plain, idempotent=False)
    assert arrivals(proxied, plain).duplicates > 0, "so that the rest of the test means something"
    assert {b.producer_id for p in range(PARTITIONS) for b in stored_batches(proxied, plain, p)} == {-1}

    write_numbered(proxied, once)
    arrivals(proxied, once).check(most_duplicates=0)
    write_through_a_crash(proxied, killed)
    arrivals(proxied, killed).check(most_duplicates=0)
    for name in (once, killed):
        for partition in range(PARTITIONS):
            batches = stored_batches(proxied, name, partition)
            [(producer_id, epoch)] = {(batch.producer_id, batch.producer_epoch) for batch in batches}
            assert producer_id >= 0
            assert epoch >= 0
            # Without a gap or a repetition, sequence numbers and offsets count the same.
            assert [batch.base_sequence for batch in batches] == [batch.base_offset for batch in batches]
            assert sum(batch.record_count for batch in batches) == COUNT
            assert not any(batch.transactional for batch in batches)


def test_a_restarted_kafka_forgets_the_producers_of_old_records(proxied, topic_name):
    """A limit of Kafka: it takes a producer's age from the timestamps of its records.

    With timestamps older than `producer.id.expiration.ms` (a day) a restart forgets the sequence numbers, and
    what was stored and not acknowledged is stored again. When this fails, Kafka has become better.
    """
    name = topic_name()
    create_topic(proxied.bootstrap, name, PARTITIONS)
    write_through_a_crash(proxied, name, timestamp=NOW - 2 * DAY_MS)
    found = arrivals(proxied, name)
    # One batch of each partition at most.
    found.check(most_duplicates=PARTITIONS * 50)
    assert found.duplicates > 0

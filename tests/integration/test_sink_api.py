"""`KafkaSink.write`: what arrives in a real Kafka, and what the result says about the rest."""

import threading
import time
from contextlib import closing

import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.partitioner.default import murmur2
from rivven_kafka import KafkaSink, SourceEvent
from rivven_kafka.errors import ConnectError, DeliveryError, InvalidRequestError, UnknownTopicError

from tests.support import KafkaBroker
from tests.support.connector import wait_until
from tests.support.topics import create_topic, end_offsets, read_topic

pytestmark = pytest.mark.integration

# Kafka deletes records that are a week old, by their own timestamp.
NOW = int(time.time() * 1000)
NOWHERE = "127.0.0.1:1"


@pytest.fixture
def topic(kafka, topic_name):
    """A function that creates a topic and returns its name."""

    def make(partitions=1, **configs):
        name = topic_name()
        create_topic(kafka.bootstrap, name, partitions, **configs)
        return name

    return make


def sink(kafka, topic, **options):
    return KafkaSink(brokers=kafka.bootstrap, topic=topic, **{"include_headers": False, **options})


def events(values, partition=0, **options):
    return [SourceEvent("t", value, partition=partition, timestamp_ms=NOW, **options) for value in values]


def numbers(count):
    return [b"%d" % number for number in range(count)]


def values(rows, partition=0):
    return [row.value for row in rows[partition]]


def test_write_needs_a_broker_and_a_topic(kafka, topic_name):
    with pytest.raises(ConnectError, match=NOWHERE):
        KafkaSink(brokers=NOWHERE, topic="t", request_timeout_ms=500).write([])
    with sink(kafka, topic_name()) as writer, pytest.raises(UnknownTopicError, match="does not exist"):
        writer.write(events([b"v"]))


def test_everything_written_is_counted_and_there(kafka, topic):
    name = topic(2)
    with sink(kafka, name) as writer:
        result = writer.write(
            iter(events(numbers(100)) + events([None, b""], 1, key=b"k", headers=[("a", None)]))
        )
        assert (result.ok, result.written, result.failed, result.errors) == (True, 102, 0, ())
        assert result.bytes > 100
        again = writer.write(events([b"last"]))
        assert (again.ok, again.written) == (True, 1)
        assert writer.write([]).written == 0
        snapshot = writer.metrics.snapshot()
    assert (snapshot.messages_produced, snapshot.errors, snapshot.flushes) == (103, 0, 3)
    assert snapshot.bytes_produced == result.bytes + again.bytes
    assert snapshot.success_rate() == 1.0
    rows = read_topic(kafka.bootstrap, name)
    assert values(rows) == [*numbers(100), b"last"]
    assert [tuple(row) for row in rows[1]] == [
        (NOW, b"k", None, [("a", None)]),
        (NOW, b"k", b"", [("a", None)]),
    ]


@pytest.mark.parametrize("transactional", [False, True])
def test_counters_that_start_anew_during_a_write_leave_its_result_alone(kafka, topic, transactional):
    name = topic()
    with sink(kafka, name, transactional_id=name if transactional else None) as writer:
        assert writer.write(events(numbers(5))).ok

        def and_reset(made):
            assert writer.metrics.snapshot_and_reset().messages_produced == 5
            yield from made

        result = writer.write(and_reset(events(numbers(3))))
        snapshot = writer.metrics.snapshot()
    assert (result.ok, result.written, result.failed, result.errors) == (True, 3, 0, ())
    assert (snapshot.messages_produced, snapshot.bytes_produced, snapshot.errors) == (3, result.bytes, 0)
    assert values(read_topic(kafka.bootstrap, name)) == numbers(5) + numbers(3)


def test_a_closed_sink_can_be_used_again(kafka, topic):
    name = topic()
    writer = sink(kafka, name)
    for value in numbers(2):
        assert writer.write(events([value])).ok
        writer.close()
    writer.close()
    assert values(read_topic(kafka.bootstrap, name)) == numbers(2)


def test_partitions_are_preserved_or_chosen_by_key(kafka, topic):
    preserved, keyed, by_field = topic(3), topic(3), topic(3)
    made = [
        SourceEvent("t", b'{"id": %d}' % i, key=b"k%d" % i, partition=i % 2, timestamp_ms=NOW)
        for i in range(60)
    ]
    with sink(kafka, preserved) as writer:
        assert writer.write(made).ok
    with sink(kafka, keyed, partitioning="key") as writer:
        assert writer.write(made).ok
    with sink(kafka, by_field, key_field="id") as writer:
        assert writer.write(made).ok
    rows = read_topic(kafka.bootstrap, preserved)
    assert [row.key for row in rows[0]] == [b"k%d" % i for i in range(0, 60, 2)]
    assert (len(rows[1]), rows[2]) == (30, [])
    for name, key in ((keyed, b"k%d"), (by_field, b"%d")):
        for partition, found in read_topic(kafka.bootstrap, name).items():
            expected = {key % i for i in range(60) if (murmur2(key % i) & 0x7FFFFFFF) % 3 == partition}
            assert {row.key for row in found} == expected


def test_a_partition_without_a_counterpart_fails_alone(kafka, topic):
    name = topic(2)
    with sink(kafka, name) as writer:
        result = writer.write(events(numbers(3)) + events([b"lost"] * 2, 2))
        assert (result.written, result.failed, result.ok) == (3, 2, False)
        [error] = result.errors
        assert isinstance(error, InvalidRequestError)
        assert error.partition == 2
        assert writer.metrics.snapshot().errors == 2
        assert writer.write(events([b"more"])).ok
    assert values(read_topic(kafka.bootstrap, name)) == [*numbers(3), b"more"]


def test_headers(kafka, topic):
    name = topic()
    made = SourceEvent("t", b"v", headers=[("own", b"1")], timestamp_ms=NOW)
    with sink(kafka, name, include_headers=True, custom_headers={"source": "rivven"}) as writer:
        assert writer.write([made]).ok
    [row] = read_topic(kafka.bootstrap, name)[0]
    assert [header[0] for header in row.headers] == [
        *("own", "source", "rivven_stream", "rivven_event_type", "rivven_position"),
    ]


def test_skipped_events_are_reported(kafka, topic):
    with sink(kafka, topic(), value_format="event", on_error="skip") as writer:
        result = writer.write(events([b"no event"] * 3))
    assert (result.written, result.failed) == (0, 3)
    [error] = result.errors
    assert isinstance(error, DeliveryError)
    assert "skipped 3 events" in str(error)


@pytest.mark.parametrize(
    "options", [{"acks": "none"}, {"acks": "leader"}, {"acks": "all"}, {"acks": "all", "idempotent": True}]
)
def test_every_kind_of_acknowledgement(kafka, topic, options):
    name = topic()
    with sink(kafka, name, batch_size_bytes=100, **options) as writer:
        result = writer.write(events(numbers(300)))
        assert (result.ok, result.written) == (True, 300)
    # Without acknowledgements nobody knows when Kafka has stored them.
    wait_until(lambda: end_offsets(kafka.bootstrap, name) == {0: 300}, 20 if options["acks"] == "none" else 0)
    assert values(read_topic(kafka.bootstrap, name)) == numbers(300)


@pytest.mark.parametrize("idempotent", [False, True])
def test_a_batch_that_is_too_large_is_split(kafka, topic, idempotent):
    name = topic(**{"max.message.bytes": 2000})
    made = [b"%d " % i + b"x" * 300 for i in range(40)]
    with sink(kafka, name, batch_size_bytes=15_000, idempotent=idempotent) as writer:
        result = writer.write(events(made))
        assert (result.ok, result.written, result.errors) == (True, 40, ())
        assert writer.write(events([b"after"])).ok
        assert writer.metrics.snapshot().retries > 0
    assert values(read_topic(kafka.bootstrap, name)) == [*made, b"after"]


def test_a_record_that_is_too_large_is_an_error_of_the_result(kafka, topic):
    name = topic(**{"max.message.bytes": 2000})
    with sink(kafka, name, batch_size_bytes=500) as writer:
        result = writer.write(events([b"before", b"x" * 3000]))
        assert not result.ok
        [error] = result.errors
        assert isinstance(error, DeliveryError)
        assert "TooLarge" in error.code
        assert (error.topic, error.partition) == (name, 0)
        stored = values(read_topic(kafka.bootstrap, name))
        assert result.written == len(stored) <= 1
        # The sink goes on after it.
        assert writer.write(events([b"after"])).ok
        assert writer.metrics.snapshot().errors == result.failed
    assert values(read_topic(kafka.bootstrap, name))[-1] == b"after"


def test_many_batches_behind_a_failing_one_do_not_raise(kafka, topic):
    name = topic(**{"max.message.bytes": 2000})
    with sink(kafka, name, batch_size_bytes=100) as writer:
        made = [b"x" * 3000, *numbers(5000)]
        result = writer.write(events(made))
        assert not result.ok
        assert result.errors
        stored = values(read_topic(kafka.bootstrap, name))
        assert len(stored) == result.written == len(made) - result.failed
        assert b"x" * 3000 not in stored
        assert [int(value) for value in stored] == sorted(int(value) for value in stored)


def test_a_broker_that_restarts_is_waited_for(topic_name):
    name = topic_name()
    with KafkaBroker() as broker:
        create_topic(broker.bootstrap, name, 1)
        with sink(broker, name, retries=1000, retry_backoff_ms=50, batch_size_bytes=100) as writer:
            assert writer.write(events([b"before"])).ok
            # Frozen first, so that a request is on its way when the broker dies.
            broker.pause()

            def restart_later():
                broker.kill()
                broker.start().wait_ready()

            restart = threading.Timer(1.0, restart_later)
            restart.start()
            result = writer.write(events(numbers(50)))
            restart.join()
            assert (result.ok, result.written) == (True, 50), result
            assert writer.metrics.snapshot().retries > 0
        stored = values(read_topic(broker.bootstrap, name))
    # The request on its way may have been stored: at least once, and in order.
    assert list(dict.fromkeys(stored)) == [b"before", *numbers(50)]


def test_a_broker_that_is_gone_is_an_error_of_the_result(topic_name):
    name = topic_name()
    with KafkaBroker() as broker:
        create_topic(broker.bootstrap, name, 1)
        options = {"request_timeout_ms": 2_000, "delivery_timeout_ms": 3_000}
        with sink(broker, name, **options) as writer:
            assert writer.write(events([b"before"])).ok
            broker.pause()
            start = time.monotonic()
            result = writer.write(events(numbers(10)))
            assert time.monotonic() - start < 10
            assert (result.written, result.failed) == (0, 10)
            assert result.errors
            # It has much to catch up with first.
            broker.resume()
            broker.wait_ready()
            again = writer.write(events([b"after"]))
            assert (again.written, again.failed) == (1, 0)
            assert writer.metrics.snapshot().messages_produced == 2
        with closing(KafkaConsumer(bootstrap_servers=broker.bootstrap, metrics_enabled=False)) as consumer:
            tp = TopicPartition(name, 0)
            # Of the failed ones some may be stored: the broker answers what it got before it was frozen.
            assert 2 <= consumer.end_offsets([tp])[tp] <= 32

"""Options of a sink that show between it and Kafka: each by its effect on a real Kafka, behind a tap."""

import time

import pytest
from rivven_kafka import KafkaSink, SourceEvent
from rivven_kafka.errors import DeliveryError, TimeoutExpired

from tests.support.connector import wait_until
from tests.support.kafka_tap import ApiKey, KafkaTap
from tests.support.ports import ReservedPort
from tests.support.topics import create_topic, end_offsets, read_topic

pytestmark = pytest.mark.integration

# Kafka deletes records that are a week old, by their own timestamp.
NOW = int(time.time() * 1000)
STORED_BUT_TOO_FEW_REPLICAS = 20
"""NOT_ENOUGH_REPLICAS_AFTER_APPEND: may be retried, and the broker has stored the batch."""


@pytest.fixture
def topic(tapped, topic_name):
    """A function that creates a topic and returns its name."""

    def make(partitions=1, **configs):
        name = topic_name()
        create_topic(tapped.bootstrap, name, partitions, **configs)
        return name

    return make


def sink(tapped, topic, **options):
    options = {"client_id": topic, "include_headers": False, **options}
    return KafkaSink(**{"brokers": tapped.tap.address, "topic": topic, **options})


def write(tapped, topic, values, **options):
    with sink(tapped, topic, **options) as writer:
        return writer.write([SourceEvent("t", value, timestamp_ms=NOW) for value in values])


def produced(tapped):
    return tapped.tap.exchanges(ApiKey.Produce)


def stored(tapped, topic):
    return [row.value for row in read_topic(tapped.bootstrap, topic)[0]]


def test_client_id_is_in_every_request(tapped, topic):
    assert write(tapped, topic(), [b"v"], client_id="a name").ok
    seen = tapped.tap.exchanges()
    assert {exchange.client_id for exchange in seen} == {"a name"}
    assert {ApiKey.Metadata, ApiKey.Produce} <= {exchange.api for exchange in seen}


def test_any_of_the_brokers_is_enough(tapped, topic):
    with ReservedPort() as dead:
        assert write(tapped, topic(), [b"v"], brokers=[dead.address, tapped.tap.address]).ok


@pytest.mark.parametrize(("acks", "number"), [("leader", 1), ("all", -1)])
def test_acks_are_waited_for(tapped, topic, acks, number):
    name = topic()
    with tapped.tap.drop(ApiKey.Produce):
        options = {"request_timeout_ms": 1000, "delivery_timeout_ms": 2500, "linger_ms": 0}
        result = write(tapped, name, [b"v"], acks=acks, **options)
    assert not result.ok
    assert {exchange.request.acks for exchange in produced(tapped)} == {number}


def test_acks_none_waits_for_nothing(tapped, topic):
    name = topic()
    with tapped.tap.drop(ApiKey.Produce):
        assert write(tapped, name, [b"v"], acks="none").ok
    [exchange] = produced(tapped)
    assert (exchange.request.acks, exchange.answer) == (0, None)
    wait_until(lambda: end_offsets(tapped.bootstrap, name) == {0: 1}, 20)


@pytest.mark.symptom("Rivven to Kafka.")
def test_batch_size_bytes_bounds_the_batches(tapped, topic):
    sizes = {}
    for limit in (2_000, 20_000):
        tapped.tap.clear()
        assert write(tapped, topic(), [b"x" * 100] * 500, batch_size_bytes=limit).ok
        sizes[limit] = max(batch.size for exchange in produced(tapped) for batch in exchange.batches())
    assert 1_500 < sizes[2_000] <= 2_000
    assert 15_000 < sizes[20_000] <= 20_000


def test_max_request_size_bounds_what_the_partitions_send_together(tapped, topic):
    sizes = {}
    for limit in (25_000, None):
        tapped.tap.clear()
        name = topic(8)
        events = [SourceEvent("t", b"x" * 9_000, partition=i % 8, timestamp_ms=NOW) for i in range(64)]
        # The answers come late, so that batches of all partitions wait for the next request.
        with (
            tapped.tap.delay(ApiKey.Produce, 0.2, times=2),
            sink(tapped, name, max_request_size=limit, batch_size_bytes=10_000) as writer,
        ):
            assert writer.write(events).ok
        sizes[limit] = max(len(exchange.body) for exchange in produced(tapped))
    assert 15_000 < sizes[25_000] <= 25_000
    assert sizes[None] > 40_000


def test_a_record_above_max_request_size_goes_alone(tapped, topic):
    name = topic(**{"max.message.bytes": 1_000_000})
    large, small = b"x" * 200_000, b"y" * 500
    options = {"max_request_size": 100_000, "batch_size_bytes": 10_000}
    assert write(tapped, name, [small] * 10 + [large] + [small] * 10, **options).ok
    [alone] = [exchange for exchange in produced(tapped) if len(exchange.body) > 100_000]
    assert [batch.record_count for batch in alone.batches()] == [1]
    assert stored(tapped, name) == [small] * 10 + [large] + [small] * 10


@pytest.mark.parametrize("idempotent", [False, None])
def test_request_timeout_sends_again_over_another_connection(tapped, topic, idempotent):
    name = topic()
    with tapped.tap.drop(ApiKey.Produce, times=1) as dropped:
        assert write(tapped, name, [b"v"], request_timeout_ms=800, idempotent=idempotent).ok
    first, second = produced(tapped)
    assert dropped.hits == [first]
    assert first.connection != second.connection
    # The default is 30 s.
    assert 0.7 < second.sent - first.sent < 15
    # By default Kafka knows it again.
    assert stored(tapped, name) == [b"v"] * (2 if idempotent is False else 1)


@pytest.mark.parametrize("retries", [0, 2])
def test_retries_are_counted(tapped, topic, retries):
    name = topic()
    with tapped.tap.fault(ApiKey.Produce, KafkaTap.produce_error(STORED_BUT_TOO_FEW_REPLICAS)):
        result = write(tapped, name, [b"v"], retries=retries, retry_backoff_ms=20)
    assert (result.written, result.failed) == (0, 1)
    assert isinstance(result.errors[0], DeliveryError)
    assert "NotEnoughReplicas" in str(result.errors[0].code)
    assert len(produced(tapped)) == 1 + retries
    # Kafka has it after the first attempt, and knows it again.
    assert stored(tapped, name) == [b"v"]


def test_retries_succeed_once_the_error_is_over(tapped, topic):
    name = topic()
    error = KafkaTap.produce_error(STORED_BUT_TOO_FEW_REPLICAS)
    with (
        tapped.tap.fault(ApiKey.Produce, error, times=2),
        sink(tapped, name, retry_backoff_ms=20) as writer,
    ):
        assert writer.write([SourceEvent("t", b"v")]).ok
        assert writer.metrics.snapshot().retries == 2
    assert len(produced(tapped)) == 3


def test_retry_backoff_passes_before_a_batch_is_sent_again(tapped, topic):
    waits = {}
    for backoff_ms in (10, 600):
        tapped.tap.clear()
        with tapped.tap.fault(ApiKey.Produce, KafkaTap.produce_error(STORED_BUT_TOO_FEW_REPLICAS), times=2):
            assert write(tapped, topic(), [b"v"], retry_backoff_ms=backoff_ms).ok
        first, second, third = produced(tapped)
        waits[backoff_ms] = [second.sent - first.answered, third.sent - second.answered]
    assert min(waits[600]) > 0.55
    assert min(waits[10]) < 0.55


def test_delivery_timeout_ends_the_retries(tapped, topic):
    name = topic()
    options = {"retries": 1_000_000, "retry_backoff_ms": 50, "request_timeout_ms": 500, "linger_ms": 0}
    with tapped.tap.fault(ApiKey.Produce, KafkaTap.produce_error(STORED_BUT_TOO_FEW_REPLICAS)):
        start = time.monotonic()
        result = write(tapped, name, [b"v"], delivery_timeout_ms=1200, **options)
        took = time.monotonic() - start
    assert not result.ok
    assert isinstance(result.errors[0], DeliveryError | TimeoutExpired)
    first, *_, last = produced(tapped)
    assert 0.5 < last.sent - first.sent < 10
    assert 1.2 <= took < 30
    assert len(produced(tapped)) > 3


@pytest.mark.parametrize("idempotent", [False, True])
def test_idempotent_drops_what_a_lost_answer_makes_the_sink_send_again(tapped, topic, idempotent):
    name = topic()
    with tapped.tap.disconnect(ApiKey.Produce, times=1):
        assert write(tapped, name, [b"a", b"b"], idempotent=idempotent).ok
    batches = [batch for exchange in produced(tapped) for batch in exchange.batches()]
    assert len(batches) == 2
    assert bool(tapped.tap.exchanges(ApiKey.InitProducerId)) == idempotent
    if idempotent:
        assert {batch.base_sequence for batch in batches} == {0}
        assert len({batch.producer_id for batch in batches}) == 1
        assert batches[0].producer_id >= 0
    else:
        assert {(batch.producer_id, batch.base_sequence) for batch in batches} == {(-1, -1)}
    assert stored(tapped, name) == [b"a", b"b"] * (1 if idempotent else 2)

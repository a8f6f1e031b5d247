"""Why a partition stands still, and what is no stall although a position does not reach the watermark."""

import re
import time
from contextlib import closing

import pytest
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition
from rivven_kafka._native import RivvenClient
from rivven_kafka.errors import StalledError

from tests.integration.pipelines import Running
from tests.support.connector import sink_file, source_file, wait_until
from tests.support.kafka_tap import ApiKey, KafkaTap
from tests.support.numbered import fill_kafka, fill_rivven, numbered
from tests.support.rivven_tap import RivvenApi
from tests.support.rivven_wire import RivvenWire
from tests.support.topics import TopicWriter, create_topic

pytestmark = pytest.mark.integration

SOURCE = {
    "session_timeout_ms": 6_000,
    "heartbeat_interval_ms": 200,
    "request_timeout_ms": 1_000,
    "stall_timeout_ms": 3_000,
    "empty_poll_delay_ms": 20,
}
SINK = {"request_timeout_ms": 500, "delivery_timeout_ms": 2_000, "stall_timeout_ms": 3_000}


def patient(document):
    """The clients of Rivven ask again after a second, for longer than the tests last."""
    document["broker"]["request_timeout_ms"] = 1_000
    document["settings"] = {"retry": {"max_retries": 1_000, "max_backoff_ms": 500}}
    return document


def source(kafka, rivven, topic, **options):
    return patient(source_file(kafka, rivven, topic, topic, f"g-{topic}", **SOURCE, **options))


def wait_delivered(running, count):
    wait_until(lambda: running.pipeline.delivered() >= count or running.error, 30, running.describe)
    assert running.error is None


def stalled(running):
    """The text of the error with which it ends, after it was told in the reports."""
    error = running.failure()
    assert isinstance(error, StalledError)
    [first, *_] = running.pipeline.watchdog.stalled
    assert first.reason in str(error)
    assert running.pipeline.watchdog.stalls > 0
    return str(error)


def test_a_partition_without_a_leader(tapped, rivven, topic_name):
    topic = topic_name()
    fill_kafka(tapped.bootstrap, topic, 2, 10)
    options = {"kafka_options": {"metadata_max_age_ms": 500}}
    with Running(source(tapped.tap.address, rivven.bootstrap, topic, **options)) as running:
        wait_delivered(running, 20)
        with tapped.tap.fault(ApiKey.Metadata, KafkaTap.without_leader(topic, 1)) as fault:
            wait_until(lambda: len(fault.hits) > 2, 30, running.describe)
            # Nobody can write to it, and it has nothing to deliver: no stall.
            time.sleep(4)
            assert (running.error, running.pipeline.watchdog.stalled) == (None, [])
    assert running.error is None


def test_a_partition_that_has_lost_its_leader_with_records_in_it(tapped, rivven, topic_name):
    topic = topic_name()
    fill_kafka(tapped.bootstrap, topic, 2, 10)
    document = source(tapped.tap.address, rivven.bootstrap, topic, kafka_options={"metadata_max_age_ms": 500})
    with (
        tapped.tap.fault(ApiKey.Metadata, KafkaTap.without_leader(topic, 1)),
        Running(document) as running,
    ):
        wait_delivered(running, 10)
        text = stalled(running)
    assert text == (
        "no progress for 3 s at position unknown, log end unknown: "
        f"the Kafka partition has no leader [{topic}:1]"
    )
    with Running(document) as running:
        wait_delivered(running, 10)


def test_fetches_that_are_not_answered(tapped, rivven, topic_name):
    topic = topic_name()
    fill_kafka(tapped.bootstrap, topic, 1, 10)
    with (
        tapped.tap.drop(ApiKey.Fetch),
        Running(source(tapped.tap.address, rivven.bootstrap, topic)) as running,
    ):
        text = stalled(running)
    assert "Kafka does not answer, or returns no records; nothing else is known" in text
    # Kafka's answers come in the order of the requests: that for the end may wait behind that of a fetch.
    assert re.search("at position 0, log end (10|unknown)", text)


def test_reads_of_a_sink_that_are_not_answered(kafka, rivven_tap, rivven, topic_name):
    topic = topic_name()
    create_topic(kafka.bootstrap, topic, 1)
    fill_rivven(rivven.bootstrap, topic, 1, 10)
    document = patient(sink_file(kafka.bootstrap, rivven_tap.address, topic, topic, f"g-{topic}", **SINK))
    with rivven_tap.drop(RivvenApi.CONSUME), Running(document) as running:
        text = stalled(running)
    assert "at position 0, log end 10: Rivven does not answer, or refuses, what is fetched" in text


@pytest.mark.parametrize("transactional", [False, True])
def test_a_letter_for_what_kafka_refuses_that_is_not_answered(kafka, rivven_tap, topic_name, transactional):
    topic, letters = topic_name(), topic_name()
    create_topic(kafka.bootstrap, topic, 1, **{"max.message.bytes": 2_000})
    fill_rivven(rivven_tap.address, topic, 1, 10, padding=5_000)
    options = SINK | ({"transactional_id": f"tx-{topic}"} if transactional else {})
    document = patient(sink_file(kafka.bootstrap, rivven_tap.address, topic, topic, f"g-{topic}", **options))
    document["sinks"]["out"]["dead_letter_topic"] = letters

    def refuse(_, answer):
        # The head, and an error that is worth another try.
        return answer[:5] + b"\x12\x0bBUFFER_FULL"

    with rivven_tap.fault(RivvenApi.PUBLISH_BATCH, refuse), Running(document) as running:
        text = stalled(running)
    assert ": Rivven does not take a dead letter [" in text


def test_a_preparation_that_takes_longer_than_a_stall(kafka, rivven_tap, topic_name):
    topic = topic_name()
    fill_kafka(kafka.bootstrap, topic, 1, 10)
    options = {"delivery_guarantee": "exactly_once", "session_timeout_ms": 30_000}
    document = patient(
        source_file(kafka.bootstrap, rivven_tap.address, topic, topic, f"g-{topic}", **SOURCE | options)
    )
    with Running(document) as running:
        wait_delivered(running, 10)
    with TopicWriter(kafka.bootstrap, topic, 1) as writer:
        writer.write(0, numbered(0, range(10, 20)))
    with Running(document) as running:
        with rivven_tap.drop(RivvenApi.CONSUME) as fault:
            wait_until(lambda: fault.hits, 30, running.describe)
            time.sleep(6)
            assert (running.error, running.pipeline.watchdog.stalled) == (None, [])
            assert running.pipeline.delivered() == 0
        wait_delivered(running, 10)
    assert running.error is None


def test_what_rivven_has_deleted_is_no_lag(kafka, rivven, topic_name):
    topic = topic_name()
    create_topic(kafka.bootstrap, topic, 1)
    fill_rivven(rivven.bootstrap, topic, 1, 10)
    with (
        closing(RivvenClient([rivven.bootstrap])) as client,
        RivvenWire("127.0.0.1", rivven.port) as wire,
    ):
        client.commit_offsets(f"g-{topic}", [(topic, 0, 4)])
        wire.delete_records(topic, {0: 10})
        document = patient(sink_file(kafka.bootstrap, rivven.bootstrap, topic, topic, f"g-{topic}", **SINK))
        with Running(document) as running:
            watchdog = running.pipeline.watchdog
            wait_until(lambda: [lag.records for lag in watchdog.lag] == [0], 10, lambda: str(watchdog.lag))
            time.sleep(4)
            assert (running.error, watchdog.stalled) == (None, [])
            client.publish(topic, 0, [(None, b"next")])
            wait_delivered(running, 1)
    assert running.error is None


@pytest.mark.parametrize("isolation_level", ["read_committed", "read_uncommitted"])
def test_markers_of_transactions_are_no_lag(kafka, rivven, topic_name, isolation_level):
    """Nor are the records of one that is open, as long as they must not be read."""
    topic = topic_name()
    create_topic(kafka.bootstrap, topic, 1)
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=topic, metrics_enabled=False)
    with closing(producer):
        producer.init_transactions()
        for end in (producer.commit_transaction, producer.abort_transaction):
            producer.begin_transaction()
            for _ in range(5):
                producer.send(topic, b"value", partition=0).get(30)
            end()
        options = {"isolation_level": isolation_level}
        with Running(source(kafka.bootstrap, rivven.bootstrap, topic, **options)) as running:
            readable = 5 if isolation_level == "read_committed" else 10
            wait_delivered(running, readable)
            watchdog = running.pipeline.watchdog
            wait_until(lambda: [lag.records for lag in watchdog.lag] == [0], 10, lambda: str(watchdog.lag))
            assert watchdog.lag[0].end == 12
            producer.begin_transaction()
            producer.send(topic, b"open", partition=0).get(30)
            time.sleep(4)
            assert [lag.records for lag in watchdog.lag] == [0]
            assert running.error is None
            producer.abort_transaction()
    assert running.error is None


def wait_at_end(running, end):
    """Until nothing is left to deliver up to `end`, and then for as long as a stall would take."""
    watchdog = running.pipeline.watchdog
    wait_until(
        lambda: [(lag.position, lag.end) for lag in watchdog.lag] == [(end, end)],
        10,
        lambda: f"{watchdog.lag}, {running.describe()}",
    )
    time.sleep(4)
    assert (running.error, watchdog.stalled) == (None, [])


def test_records_that_kafka_deletes_before_they_are_read_are_no_lag(tapped, rivven, topic_name):
    topic = topic_name()
    fill_kafka(tapped.bootstrap, topic, 1, 10)
    with Running(source(tapped.tap.address, rivven.bootstrap, topic)) as running:
        wait_delivered(running, 10)
        with tapped.tap.drop(ApiKey.Fetch):
            # One question may be under way.
            time.sleep(1)
            with TopicWriter(tapped.bootstrap, topic, 1) as writer:
                writer.write(0, numbered(0, range(10, 20)))
            with closing(KafkaAdminClient(bootstrap_servers=tapped.bootstrap)) as admin:
                admin.delete_records({TopicPartition(topic, 0): 20})
        wait_at_end(running, 20)
        assert running.pipeline.delivered() == 10


def test_a_rivven_log_that_ends_on_a_marker_is_no_lag(kafka, rivven, topic_name):
    """Nor is one whose records were deleted before they were read."""
    topic = topic_name()
    create_topic(kafka.bootstrap, topic, 1)
    with RivvenWire("127.0.0.1", rivven.port) as wire:
        wire.create_topic(topic, 1)
        wire.publish_transaction(topic, [b"%d" % number for number in range(5)])
        assert wire.offset_bounds(topic) == (0, 6)
        options = SINK | {"on_log_damage": "continue"}
        document = patient(
            sink_file(kafka.bootstrap, rivven.bootstrap, topic, topic, f"g-{topic}", **options)
        )
        with Running(document) as running:
            wait_delivered(running, 5)
            wait_at_end(running, 5)
            wire.publish_transaction(topic, [b"more"])
            wait_delivered(running, 6)
            wait_at_end(running, 7)
            wire.delete_records(topic, {0: 8})
            wait_at_end(running, 8)
            wire.publish(topic, [(None, b"last")])
            wait_delivered(running, 7)
    assert running.error is None

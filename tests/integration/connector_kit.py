"""What the tests of `test_kafka_connector` share."""

import time

from rivven_kafka import KafkaSink, KafkaSource, SourceEvent

from tests.integration.pipelines import Running, rivven_records
from tests.support.connector import source_file, wait_until
from tests.support.topics import Row, create_topic, fill

# Kafka deletes records that are a week old, by their own timestamp.
NOW = int(time.time() * 1000)
QUICK = {"empty_poll_delay_ms": 20, "session_timeout_ms": 6000, "heartbeat_interval_ms": 200}


def filled(kafka, name, *counts):
    """Creates a topic with so many numbered records in each partition, and returns its name."""
    create_topic(kafka.bootstrap, name, len(counts))
    fill(kafka.bootstrap, name, {p: rows_of(p, range(count)) for p, count in enumerate(counts)})
    return name


def rows_of(partition, sequence):
    return [Row(NOW + i, b"k%d" % i, b'{"n": %d}' % i, [("p", b"%d" % partition)]) for i in sequence]


def source(kafka, topic, group=None, **options):
    options = {**QUICK, "consumer_group": group or f"g-{topic}", **options}
    return KafkaSource(brokers=kafka.bootstrap, topic=topic, **options)


def sink(kafka, topic, **options):
    return KafkaSink(brokers=kafka.bootstrap, topic=topic, **{"include_headers": False, **options})


def take(stream, count):
    return [next(stream) for _ in range(count)]


def offsets(events, partition=0):
    return [event.offset for event in events if event.partition == partition]


def events(values, **options):
    return [SourceEvent("t", value, timestamp_ms=NOW, **options) for value in values]


def failure(result):
    """What the check that failed says; there is exactly one, and what depends on it was not tried."""
    assert not result.ok
    [failed] = [check for check in result.checks if check.status == "failed"]
    later = result.checks[result.checks.index(failed) + 1 :]
    assert {check.status for check in later} == {"skipped"}
    return failed.detail


def through_rivven(kafka, rivven, origin, copy, count, **config):
    """Runs a source until Rivven holds `count` records; returns them by partition, and the counters."""
    options = {**QUICK, **config}
    document = source_file(kafka.bootstrap, rivven.bootstrap, origin, copy, f"r-{origin}", **options)
    with Running(document) as running:
        wait_until(lambda: running.pipeline.delivered() >= count or running.error, 30, running.describe)
    assert running.error is None
    return rivven_records(rivven.bootstrap, copy), running.pipeline.metrics.snapshot()

"""Numbered records, written to a Kafka that loses its answers or is killed."""

import threading

from rivven_kafka import KafkaSink, SourceEvent

from tests.integration.connector_kit import NOW
from tests.support.numbered import Arrivals, kafka_values, numbered

PARTITIONS, COUNT = 3, 1_000


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

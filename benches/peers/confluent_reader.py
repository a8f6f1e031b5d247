"""confluent-kafka: librdkafka's consumer in threads of C, and one Python object per record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from confluent_kafka import Consumer, Message, TopicPartition

from benches.measure import Took

_AT_ONCE = 1_000


def read(
    bootstrap: str,
    topic: str,
    partitions: int,
    records: int,
    took: Took,
    use: Callable[[list[Message]], None],
) -> None:
    """Reads a topic from its start with `Consumer.consume`.

    Args:
        bootstrap: Kafka's address.
        topic: Kafka topic.
        partitions: Its number of partitions.
        records: How many to read.
        took: Counts the round, from the assignment on.
        use: What is done with each list of records.
    """
    with _consumer(bootstrap) as consumer, took.round(records):
        consumer.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])
        count = 0
        while count < records:
            messages = consumer.consume(_AT_ONCE, 10.0)
            assert messages, f"nothing came after {count} records"
            use(messages)
            count += len(messages)


def touch(messages: list[Message]) -> None:
    """Takes key and value out of each record."""
    for message in messages:
        assert message.error() is None
        message.key()
        message.value()


@contextmanager
def _consumer(bootstrap: str) -> Iterator[Consumer]:
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "not-used",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            # Enough in its own queue that it never waits for a fetch.
            "queued.min.messages": 1_000_000,
            "queued.max.messages.kbytes": 512 * 1024,
            "max.partition.fetch.bytes": 4 << 20,
            "fetch.max.bytes": 64 << 20,
        }
    )
    try:
        yield consumer
    finally:
        consumer.close()

"""Seeing records appear in Kafka or in Rivven as soon as they can be seen."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from confluent_kafka import Consumer, TopicPartition
from rivven_kafka._native import Fetcher

from tests.support.broker import Broker

Take = Callable[[], list[bytes]]
"""Returns the values that have come since the last call; waits up to 50 ms for the first."""

_WAIT_MS = 50


@contextmanager
def in_rivven(rivven: Broker, topic: str, partitions: int) -> Iterator[Take]:
    """A long poll on each partition, over a connection of its own."""
    with closing(Fetcher([rivven.bootstrap], connections=partitions)) as fetcher:
        fetcher.assign([(topic, partition, 0) for partition in range(partitions)])
        yield lambda: [
            value for block in fetcher.poll(_WAIT_MS) for value in block.values() if value is not None
        ]


@contextmanager
def in_kafka(kafka: Broker, topic: str, partitions: int) -> Iterator[Take]:
    """A consumer without a group that asks for every record at once."""
    consumer = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap,
            "group.id": "watching",
            "enable.auto.commit": False,
            "fetch.min.bytes": 1,
            "fetch.wait.max.ms": 500,
        }
    )
    try:
        consumer.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])

        def take() -> list[bytes]:
            message = consumer.poll(_WAIT_MS / 1000)
            values = []
            while message is not None:
                assert message.error() is None, message.error()
                values.append(message.value() or b"")
                message = consumer.poll(0)
            return values

        # The first answer takes longer, as it opens the connections.
        assert take() == []
        yield take
    finally:
        consumer.close()


def first(take: Take, timeout_s: float = 30.0) -> float:
    """When the first record has come (`time.perf_counter`)."""
    deadline = time.perf_counter() + timeout_s
    while not take():
        assert time.perf_counter() < deadline, "no record came"
    return time.perf_counter()

"""Filling and reading Kafka topics: written natively, read with kafka-python's own pure Python records."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any, NamedTuple, TypeVar

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import MetadataEmptyBrokerList
from rivven_kafka._native import SinkEncoder, block_from_rows
from rivven_kafka.kafka import BatchProducer

Headers = list[tuple[str, bytes | None]]
T = TypeVar("T")
_PATIENCE_S = 30.0


class Row(NamedTuple):
    """What a bridge must not change."""

    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


def create_topic(bootstrap: str, topic: str, partitions: int, **configs: Any) -> None:
    """Creates a Kafka topic and waits for its leaders."""
    with closing(KafkaAdminClient(bootstrap_servers=bootstrap)) as admin:
        spec = {"num_partitions": partitions, "replication_factor": 1, "configs": configs}
        admin.create_topics({topic: spec}, wait_for_metadata=True)


class TopicWriter:
    """Writes rows to fixed partitions of a Kafka topic.

    Args:
        bootstrap: Kafka's address.
        topic: Kafka topic.
        partitions: Its number of partitions.
        compression: Codec of the batches.
        batch_size_bytes: Size of the batches.
        options: Further options of kafka-python's producer.
    """

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        partitions: int,
        *,
        compression: str = "none",
        batch_size_bytes: int = 65536,
        **options: Any,
    ) -> None:
        self._topic = topic
        self._encoder = SinkEncoder(
            partitions,
            include_headers=False,
            compression=compression,
            batch_size_bytes=batch_size_bytes,
        )
        options = {"bootstrap_servers": [bootstrap], "acks": -1, "client_id": "test-writer", **options}
        self._producer = BatchProducer(options)

    def write(self, partition: int, rows: Sequence[tuple[int, bytes | None, bytes | None, Headers]]) -> None:
        """Queues rows; `flush` waits for them."""
        self._encoder.append(block_from_rows(self._topic, partition, rows))
        self._producer.send(self._topic, self._encoder.take_ready(5))

    def flush(self) -> None:
        """Waits until Kafka has stored everything."""
        self._producer.send(self._topic, self._encoder.take_ready(0))
        assert self._producer.flush(60)
        self._producer.check()

    def close(self) -> None:
        """Flushes and closes, the thread of the producer also when Kafka does not take everything."""
        try:
            self.flush()
        finally:
            self._producer.close()

    def __enter__(self) -> TopicWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def fill(bootstrap: str, topic: str, rows: Mapping[int, Sequence[Row]], compression: str = "none") -> None:
    """Writes `rows` by partition."""
    with TopicWriter(bootstrap, topic, len(rows), compression=compression) as writer:
        for partition, records in rows.items():
            writer.write(partition, records)


def read_topic(bootstrap: str, topic: str, isolation_level: str = "read_uncommitted") -> dict[int, list[Row]]:
    """Everything in a Kafka topic, by partition, in order, as kafka-python reads it."""
    options = {
        "isolation_level": isolation_level,
        "bootstrap_servers": bootstrap,
        "max_partition_fetch_bytes": 4 << 20,
        "metrics_enabled": False,
        "enable_auto_commit": False,
    }
    with closing(KafkaConsumer(**options)) as consumer:
        partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        ends = consumer.end_offsets(partitions)
        rows: dict[int, list[Row]] = {partition.partition: [] for partition in partitions}
        while any(consumer.position(partition) < ends[partition] for partition in partitions):
            for partition, records in consumer.poll(timeout_ms=1000, max_records=10_000).items():
                rows[partition.partition].extend(
                    Row(record.timestamp, record.key, record.value, list(record.headers))
                    for record in records
                )
        return rows


class EndOffsets:
    """Asks for the end of a Kafka topic again and again, over one connection."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        options = {"metrics_enabled": False, "enable_auto_commit": False}
        self._consumer = KafkaConsumer(bootstrap_servers=bootstrap, **options)
        numbers = _patiently(lambda: self._consumer.partitions_for_topic(topic)) or ()
        self._partitions = [TopicPartition(topic, number) for number in numbers]

    def read(self) -> dict[int, int]:
        """The offset after the last record of each partition."""
        return {tp.partition: offset for tp, offset in self._consumer.end_offsets(self._partitions).items()}

    def __enter__(self) -> EndOffsets:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()


def end_offsets(bootstrap: str, topic: str) -> dict[int, int]:
    """The offset after the last record of each partition of a Kafka topic."""
    with EndOffsets(bootstrap, topic) as offsets:
        return offsets.read()


def _patiently(call: Callable[[], T]) -> T:
    """Asks again while Kafka has no broker: after a freeze it is shut out until its next heartbeat."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return call()
        except MetadataEmptyBrokerList:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def committed_offsets(bootstrap: str, group: str, topic: str) -> dict[int, int]:
    """The next offset to read of each partition of a Kafka topic, 0 where the group has not committed."""
    options = {"bootstrap_servers": bootstrap, "group_id": group, "metrics_enabled": False}
    with closing(KafkaConsumer(**options, enable_auto_commit=False)) as consumer:
        partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        return {tp.partition: consumer.committed(tp) or 0 for tp in partitions}

"""Noticing that the Kafka topic of a sink has grown."""

from __future__ import annotations

import time

from rivven_kafka._native import RecordBlock
from rivven_kafka.config import KafkaSinkConfig, Partitioning
from rivven_kafka.errors import DeliveryError
from rivven_kafka.sink import find_topic

_AGAIN_S = 1.0


class Counterparts:
    """Keeps records from being bad ones only because a run does not know the newest partitions of its topic.

    With `partitioning: preserve` a record whose partition Kafka's topic does not have is a bad record. How
    many it has is asked when a run begins; topics that grow, Kafka's first and then Rivven's, are in order.

    Args:
        config: The options of the sink.
        name: Name of the sink.
        partitions: Partitions of the Kafka topic, as far as the run knows.
    """

    def __init__(self, config: KafkaSinkConfig, name: str, partitions: int) -> None:
        self._config = config
        self._name = name
        self._partitions = partitions
        self._preserve = config.effective_partitioning is Partitioning.PRESERVE
        self._ask_at = 0.0

    def starts(self) -> None:
        """Reading begins in newly assigned partitions, before which the Kafka topic may have grown."""
        self._ask_at = 0.0

    def require(self, block: RecordBlock) -> None:
        """Looks whether Kafka has the partition of a block that the run has no counterpart for.

        Kafka is asked at most once a second, and always for the first such block of an assignment. The answer
        holds for all partitions: Kafka has grown before Rivven, and Rivven before the assignment.

        Raises:
            DeliveryError: The topic has grown: the run has to end, and the next one knows it.
            RivvenKafkaError: Kafka does not answer, so it is not known.
        """
        if not self._preserve or block.partition < self._partitions:
            return
        if time.monotonic() < self._ask_at:
            return
        found = find_topic(self._config, self._name).partitions
        if found > self._partitions:
            raise DeliveryError(
                f"Kafka topic {self._config.topic!r} has grown from {self._partitions} to {found} "
                "partitions: the sink has to begin anew",
                topic=block.topic,
                partition=block.partition,
                offset=block.first_offset,
            )
        self._ask_at = time.monotonic() + _AGAIN_S

"""Reading Kafka for a verification."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rivven_kafka._native import RecordBlock
from rivven_kafka.config import KafkaSourceConfig
from rivven_kafka.errors import RivvenKafkaError
from rivven_kafka.kafka.admin import Admin
from rivven_kafka.reading.kafka_log import Place, cut, read_between


class KafkaSide:
    """The Kafka topics of a source.

    Args:
        options: Options of the source's consumer.
        config: The source's options.
    """

    def __init__(self, options: Mapping[str, Any], config: KafkaSourceConfig) -> None:
        self._options = options
        self._timeout_s = config.request_timeout_ms / 1000
        self._max_batch_bytes = config.max_batch_bytes

    def read(self, bounds: Mapping[Place, tuple[int, int]]) -> Iterator[RecordBlock]:
        """The records of partitions, see `read_between`."""
        return read_between(self._options, bounds, self._timeout_s, self._max_batch_bytes)

    def record(self, place: Place, offset: int) -> RecordBlock | None:
        """A block that begins with the record at an offset, None if there is none."""
        for block in self.read({place: (offset, offset + 1)}):
            _, block = cut(block, offset)
            if block.first_offset == offset:
                return block
        return None


def compacted_topics(admin: Mapping[str, Any], topics: Mapping[str, int]) -> tuple[set[str], str | None]:
    """The topics that Kafka compacts, and what to know if it does not tell.

    Args:
        admin: Options of kafka-python's clients.
        topics: The topics.
    """
    try:
        with Admin(admin) as client:
            configs = client.topic_configs(list(topics))
    except RivvenKafkaError as error:
        return (
            set(),
            f"the cleanup.policy of the topics cannot be read, so all count as not compacted: {error}",
        )
    compacted = set()
    for topic, found in configs.items():
        policy = found.get("cleanup.policy")
        if policy is not None and "compact" in (policy.value or ""):
            compacted.add(topic)
    return compacted, None

"""The Rivven topic of a source: found, or created with the right number of partitions."""

from __future__ import annotations

import logging

from rivven_kafka._native import RivvenClient
from rivven_kafka.config import Partitioning, SourceEntry, TopicSettings
from rivven_kafka.errors import ConfigError, UnknownTopicError

log = logging.getLogger(__name__)


def prepare_topic(
    client: RivvenClient, entry: SourceEntry, settings: TopicSettings, kafka_partitions: int
) -> int:
    """Makes sure that the Rivven topic of `entry` can take what Kafka has.

    Args:
        client: Connection to Rivven.
        entry: The source.
        settings: Defaults for the creation of topics.
        kafka_partitions: Partitions of the Kafka topic.

    Returns:
        The partitions of the Rivven topic.

    Raises:
        UnknownTopicError: The topic does not exist and is not to be created.
        ConfigError: `partitioning: preserve`, and Rivven has fewer partitions than Kafka.
    """
    count = client.partition_count(entry.topic)
    if count is None:
        wanted = wanted_partitions(entry, settings, kafka_partitions)
        if client.create_topic(entry.topic, wanted):
            log.info("created Rivven topic with %d partitions", wanted, extra={"topic": entry.topic})
        count = client.partition_count(entry.topic) or wanted
    require_enough(entry, count, entry.config.topic, kafka_partitions)
    return count


def wanted_partitions(entry: SourceEntry, settings: TopicSettings, kafka_partitions: int) -> int:
    """How many partitions the Rivven topic of `entry` gets when it is created.

    Raises:
        UnknownTopicError: It is not to be created.
    """
    auto_create = entry.topic_config.auto_create
    if not (settings.auto_create if auto_create is None else auto_create):
        raise UnknownTopicError(
            f"Rivven topic {entry.topic!r} does not exist; create it, or set topic_config.auto_create",
            topic=entry.topic,
        )
    preserve = entry.config.partitioning is Partitioning.PRESERVE
    return entry.topic_config.partitions or (kafka_partitions if preserve else settings.default_partitions)


def require_enough(entry: SourceEntry, count: int, kafka_topic: str, kafka_partitions: int) -> None:
    """Makes sure that `count` Rivven partitions can take those of a Kafka topic.

    Raises:
        ConfigError: `partitioning: preserve`, and Rivven has fewer partitions than Kafka.
    """
    if entry.config.partitioning is Partitioning.PRESERVE and count < kafka_partitions:
        raise ConfigError(
            f"partitioning: got preserve, but Rivven topic {entry.topic!r} has {count} partitions and Kafka "
            f"topic {kafka_topic!r} has {kafka_partitions}; expected at least as many, or "
            "partitioning: key",
            topic=entry.topic,
        )


def lanes_per_partition(entry: SourceEntry, rivven_partitions: int) -> int:
    """How many connections may write to one Rivven partition.

    One keeps the order of the partition. `ordering: key` keeps the order of each key only, so the connections
    are spread over the partitions: `rivvend` spends about 1.9 ms per record and connection.
    """
    if entry.config.ordering == "partition":
        return 1
    return max(1, entry.config.connections // rivven_partitions)

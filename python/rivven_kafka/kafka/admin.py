"""Questions about a Kafka cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient
from kafka import errors as kafka_errors

from rivven_kafka.kafka.connect import connected
from rivven_kafka.kafka.errors import translate


@dataclass(frozen=True)
class TopicDescription:
    """A Kafka topic.

    Attributes:
        name: Its name.
        partitions: Number of partitions.
        replication_factor: Replicas of its first partition.
        internal: Whether it belongs to Kafka itself.
    """

    name: str
    partitions: int
    replication_factor: int
    internal: bool


def describe_topics(
    options: Mapping[str, Any], topics: Sequence[str] | None = None
) -> dict[str, TopicDescription]:
    """Topics of the cluster by name, from one metadata request.

    Args:
        options: Options of kafka-python's clients, see `connection_options`.
        topics: The topics to describe, those that do not exist are left out; all if None.

    Raises:
        ConnectError: No bootstrap broker answers within the request timeout.
        AuthenticationError: The brokers do not accept the credentials.
    """
    brokers = ", ".join(options["bootstrap_servers"])
    try:
        client = connected(KafkaAdminClient, options)
    except kafka_errors.KafkaError as error:
        raise translate(error, f"cannot connect to Kafka at {brokers}") from error
    try:
        found = client.describe_topics(None if topics is None else list(topics))
        return {topic["name"]: _description(topic) for topic in found if not topic["error_code"]}
    except kafka_errors.KafkaError as error:
        raise translate(error, f"cannot list the topics of Kafka at {brokers}") from error
    finally:
        client.close()


def _description(topic: Mapping[str, Any]) -> TopicDescription:
    partitions = topic["partitions"]
    replicas = len(partitions[0]["replica_nodes"]) if partitions else 0
    return TopicDescription(topic["name"], len(partitions), replicas, bool(topic["is_internal"]))

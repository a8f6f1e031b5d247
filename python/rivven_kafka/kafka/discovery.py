"""The topics of a Kafka cluster as a catalog."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rivven_kafka.catalog import Catalog, Stream
from rivven_kafka.kafka.admin import Admin, TopicConfig, TopicDescription

SHOWN_CONFIGS = frozenset(
    {
        "cleanup.policy",
        "compression.type",
        "delete.retention.ms",
        "max.message.bytes",
        "message.timestamp.type",
        "min.insync.replicas",
        "retention.bytes",
        "retention.ms",
        "segment.bytes",
    }
)
"""Configs of a topic that decide what can be read and written; they are shown even where nobody set them."""

_INTERNAL = "__"


def discover(options: Mapping[str, Any], *, configs: bool) -> Catalog:
    """All topics but internal ones, by name.

    Args:
        options: Options of kafka-python's clients, see `connection_options`.
        configs: Whether to ask for the configs of the topics.

    Raises:
        ConnectError: Kafka cannot be reached.
        AuthenticationError: Kafka does not accept the credentials.
    """
    with Admin(options) as admin:
        found = admin.topics()[0]
        topics = [found[name] for name in sorted(found) if not _internal(found[name])]
        if not configs:
            return Catalog(tuple(Stream(topic.name, metadata=_counts(topic)) for topic in topics))
        of_topics = admin.topic_configs([topic.name for topic in topics])
    return Catalog(
        tuple(
            Stream(topic.name, metadata=_counts(topic) | {"configs": _shown(of_topics.get(topic.name))})
            for topic in topics
        )
    )


def _internal(topic: TopicDescription) -> bool:
    return topic.internal or topic.name.startswith(_INTERNAL)


def _counts(topic: TopicDescription) -> dict[str, Any]:
    return {"partition_count": topic.partitions, "replication_factor": topic.replication_factor}


def _shown(configs: Mapping[str, TopicConfig] | None) -> dict[str, str | None] | None:
    if configs is None:
        return None
    return {
        name: config.value
        for name, config in sorted(configs.items())
        if name in SHOWN_CONFIGS or not config.default
    }

"""What there is to copy, as Kafka says at one moment."""

from __future__ import annotations

from rivven_kafka.config import BrokerConfig, SourceEntry
from rivven_kafka.errors import UnknownTopicError
from rivven_kafka.kafka import admin_options
from rivven_kafka.kafka.admin import Admin, TopicConfig, TopicDescription
from rivven_kafka.kafka.group_state import partition_states, topic_ids
from rivven_kafka.migrate.report import PartitionCopy, Report, TopicCopy, now
from rivven_kafka.reading.patience import patiently

_ALWAYS_SHOWN = ("cleanup.policy", "retention.ms")
"""What decides for how long records are kept matters also where nobody has set it."""


def take_snapshot(name: str, entry: SourceEntry, broker: BrokerConfig) -> Report:
    """Reads where the partitions of a source end, and how far its group has come.

    Args:
        name: Name of the source.
        entry: Its section.
        broker: How to reach Rivven, which is not asked.

    Raises:
        UnknownTopicError: A topic does not exist, or none matches.
        RivvenKafkaError: Kafka cannot be reached or does not tell.
    """
    config = entry.config
    options = admin_options(config, name)
    with Admin(options) as admin:
        found = _selected(entry, admin.topics(config.topic_names or None)[0])
        configs = admin.topic_configs(list(found))
        cluster = admin.cluster_id()
    counts = {topic: each.partitions for topic, each in found.items()}
    ids = topic_ids(options, counts)
    states = patiently(
        lambda: partition_states(options, config.consumer_group, counts, str(config.isolation_level)),
        config.request_timeout_ms / 1000,
    )
    at = now()
    topics = []
    for topic, each in found.items():
        partitions = []
        for number in range(each.partitions):
            state = states[topic, number]
            start = state.start if state.committed is None else max(state.start, state.committed)
            start = min(start, state.end)
            partitions.append(
                PartitionCopy(
                    number,
                    start,
                    state.end,
                    start,
                    log_start=state.start,
                    committed=state.committed,
                )
            )
        topics.append(
            TopicCopy(
                topic,
                ids.get(topic),
                entry.destination(topic),
                each.replication_factor,
                _lost_configs(configs.get(topic, {})),
                partitions,
            )
        )
    return Report(
        source=name,
        kafka_cluster=cluster,
        kafka=list(config.brokers),
        rivven=list(broker.bootstrap_servers),
        group=config.consumer_group,
        options={
            "value_format": str(config.value_format),
            "isolation_level": str(config.isolation_level),
            "delivery_guarantee": str(config.delivery_guarantee),
            "partitioning": str(config.partitioning),
            "ordering": str(config.ordering),
        },
        snapshot=at,
        topics=topics,
    )


def _selected(entry: SourceEntry, found: dict[str, TopicDescription]) -> dict[str, TopicDescription]:
    config = entry.config
    for name in config.topic_names:
        if name not in found:
            raise UnknownTopicError(f"Kafka topic {name!r} does not exist", topic=name)
    chosen = {
        name: found[name] for name in sorted(found) if config.selects(name) and not found[name].internal
    }
    if not chosen:
        raise UnknownTopicError(f"Kafka has no {config.topics_text}")
    return chosen


def _lost_configs(configs: dict[str, TopicConfig]) -> dict[str, str]:
    """A Rivven topic is created with a number of partitions; it has nothing of all this."""
    return {
        name: configs[name].value or ""
        for name in sorted(configs)
        if not configs[name].default or name in _ALWAYS_SHOWN
    }

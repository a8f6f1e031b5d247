"""KafkaSource: a Kafka topic as a stream of events, in any Python program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rivven_kafka._native import KafkaSourceMetrics
from rivven_kafka.catalog import Catalog
from rivven_kafka.checks import CheckResult, Step, run_checks
from rivven_kafka.config import KafkaSourceConfig
from rivven_kafka.errors import ConfigError, UnknownTopicError
from rivven_kafka.kafka import BlockConsumer, admin_options, passed_options
from rivven_kafka.kafka.cluster_check import ClusterCheck, TopicSelection
from rivven_kafka.kafka.discovery import discover
from rivven_kafka.kafka.events import EventStream


def consumer_options(config: KafkaSourceConfig, name: str) -> dict[str, Any]:
    """Options of kafka-python's consumer for `config`.

    Args:
        config: The source's options.
        name: Client id, where the configuration gives none.
    """
    return admin_options(config, name) | {
        "group_id": config.consumer_group,
        "auto_offset_reset": str(config.start_offset),
        "isolation_level": str(config.isolation_level),
        "max_poll_records": config.max_poll_records,
        "max_poll_interval_ms": config.max_poll_interval_ms,
        "session_timeout_ms": config.session_timeout_ms,
        "heartbeat_interval_ms": config.heartbeat_interval_ms,
        "fetch_min_bytes": config.fetch_min_bytes,
        "fetch_max_bytes": config.fetch_max_bytes,
        "max_partition_fetch_bytes": config.max_partition_fetch_bytes,
        # kafka-python wants these on either side of the request timeout.
        "fetch_max_wait_ms": min(500, config.request_timeout_ms // 2),
        "connections_max_idle_ms": max(540_000, config.request_timeout_ms + 1_000),
        "check_crcs": config.check_crcs,
        "allow_auto_create_topics": False,
        **passed_options(config.kafka_options),
    }


def find_topics(consumer: BlockConsumer, config: KafkaSourceConfig) -> dict[str, int]:
    """The Kafka topics that `config` selects, and their numbers of partitions.

    Raises:
        UnknownTopicError: A topic that is named does not exist.
    """
    counts = consumer.partition_counts(config.topic_names or None)
    for name in config.topic_names:
        if name not in counts:
            raise UnknownTopicError(f"Kafka topic {name!r} does not exist", topic=name)
    return {name: count for name, count in counts.items() if config.selects(name)}


def _checked_position(
    position: Mapping[tuple[str, int], int], config: KafkaSourceConfig
) -> Mapping[tuple[str, int], int]:
    for (topic, partition), offset in position.items():
        if not config.selects(topic):
            raise ConfigError(f"position: got topic {topic!r}: expected one of the {config.topics_text}")
        if partition < 0 or offset < 0:
            raise ConfigError(
                f"position: got {topic}:{partition}: {offset}: expected partition and offset of at least 0"
            )
    return position


def source_steps(config: KafkaSourceConfig, name: str) -> tuple[ClusterCheck, list[Step]]:
    """What a check of a source tries on Kafka's side, and what it finds there.

    The steps are `config` (certificate files), `connectivity` (TCP), `authentication`, `topic`, and
    `authorization`: READ and DESCRIBE on the topics, READ on the group.
    """
    selection = TopicSelection(config.topic_names, config.selects, config.topics_text)
    cluster = ClusterCheck(admin_options(config, name, ask_aws=False), config.security, selection)
    group = config.consumer_group
    authorization = cluster.authorization(("READ", "DESCRIBE"), groups=lambda: {f"group {group!r}": [group]})
    return cluster, [*cluster.steps(), authorization]


class KafkaSource:
    """Reads a Kafka topic as `SourceEvent`s.

    Args:
        config: The options, as a model; keyword arguments of the same names are an alternative.
        **options: Options of `KafkaSourceConfig`.

    Attributes:
        metrics: Counters of what all streams of this source have read and committed.

    Raises:
        ConfigError: An option is missing, unknown or wrong. Nothing is connected before `read`, `check` or
            `discover`.

    Example:
        >>> with KafkaSource(brokers="kafka1:9092", topic="orders").read() as events:  # doctest: +SKIP
        ...     for event in events:
        ...         print(event.offset, event.data)
    """

    def __init__(self, config: KafkaSourceConfig | None = None, **options: Any) -> None:
        self.config = config if config is not None else KafkaSourceConfig(**options)
        self.metrics = KafkaSourceMetrics()

    @staticmethod
    def spec() -> dict[str, Any]:
        """The JSON Schema of the options."""
        return KafkaSourceConfig.model_json_schema()

    def check(self) -> CheckResult:
        """Tries what reading needs: the checks of `source_steps`. Never raises for a bad environment.

        Every step ends within `request_timeout_ms`. Nothing is written, and the group is not joined.
        """
        return run_checks(source_steps(self.config, "rivven-kafka")[1])

    def discover(self, *, configs: bool = True) -> Catalog:
        """Lists all topics but Kafka's internal ones, by name.

        Takes one metadata request, and one more request for the configs of up to 10,000 topics.

        Args:
            configs: Whether to ask for the configs of the topics.

        Raises:
            ConnectError: Kafka cannot be reached.
            AuthenticationError: Kafka does not accept the credentials.
        """
        return discover(admin_options(self.config, "rivven-kafka"), configs=configs)

    def read(self, position: Mapping[tuple[str, int], int] | None = None) -> EventStream:
        """Starts reading as a member of the consumer group.

        The stream is an iterator and an asynchronous iterator of `SourceEvent`; it never ends by itself.
        Delivery guarantee: at least once. An event counts as processed when the next one is asked for, and
        processed events are committed as `enable_auto_commit` says, at a rebalance and by `close`.

        Args:
            position: Where to start: the offset of the first record to read, by topic and partition. It
                comes before the committed offset, until something of the partition was processed;
                partitions that are not listed start at their committed offset, or as `start_offset` says.

        Raises:
            ConfigError: The position names a topic that is not read, or a negative number.
            ConnectError: Kafka cannot be reached.
            AuthenticationError: Kafka does not accept the credentials.
            UnknownTopicError: A topic does not exist.
        """
        start = _checked_position(position or {}, self.config)
        consumer = BlockConsumer(
            consumer_options(self.config, "rivven-kafka"), max_batch_bytes=self.config.max_batch_bytes
        )
        try:
            topics = list(find_topics(consumer, self.config))
            return EventStream(consumer, self.config, topics, start, self.metrics)
        except BaseException:
            consumer.close()
            raise

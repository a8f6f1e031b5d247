"""KafkaSource: a Kafka topic as a stream of events, in any Python program."""

from __future__ import annotations

from typing import Any

from rivven_kafka._native import KafkaSourceMetrics
from rivven_kafka.checks import CheckResult, run_checks
from rivven_kafka.config import KafkaSourceConfig
from rivven_kafka.errors import UnknownTopicError
from rivven_kafka.kafka import BlockConsumer, connection_options
from rivven_kafka.kafka.admin import TopicDescription, describe_topics
from rivven_kafka.kafka.events import EventStream


def consumer_options(config: KafkaSourceConfig, name: str) -> dict[str, Any]:
    """Options of kafka-python's consumer for `config`.

    Args:
        config: The source's options.
        name: Client id, where the configuration gives none.
    """
    options = connection_options(
        config.brokers,
        config.security,
        client_id=config.client_id or name,
        request_timeout_ms=config.request_timeout_ms,
    )
    return options | {
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
    }


class KafkaSource:
    """Reads a Kafka topic as `SourceEvent`s.

    Args:
        config: The options, as a model; keyword arguments of the same names are an alternative.
        **options: Options of `KafkaSourceConfig`.

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
        """Tries to reach Kafka, log in and find the topic. Never raises for a bad environment."""
        topics: dict[str, TopicDescription] = {}

        def connect() -> str:
            topics.update(describe_topics(self._admin_options()))
            return f"connected to {', '.join(self.config.brokers)}"

        def topic() -> str:
            found = topics.get(self.config.topic)
            if found is None:
                raise UnknownTopicError(f"Kafka topic {self.config.topic!r} does not exist")
            return f"topic {self.config.topic!r} has {found.partitions} partitions"

        return run_checks([("connect", connect), ("topic", topic)])

    def discover(self) -> list[TopicDescription]:
        """All topics but Kafka's internal ones, by name.

        Raises:
            ConnectError: Kafka cannot be reached.
            AuthenticationError: Kafka does not accept the credentials.
        """
        found = describe_topics(self._admin_options())
        return [found[name] for name in sorted(found) if not found[name].internal]

    def read(self) -> EventStream:
        """Starts reading as a member of the consumer group.

        The stream is an iterator and an asynchronous iterator of `SourceEvent`; it never ends by itself.
        Delivery guarantee: at least once. An event counts as processed when the next one is asked for, and
        processed events are committed as `enable_auto_commit` says, at a rebalance and by `close`.

        Raises:
            ConnectError: Kafka cannot be reached.
            AuthenticationError: Kafka does not accept the credentials.
            UnknownTopicError: The topic does not exist.
        """
        consumer = BlockConsumer(consumer_options(self.config, "rivven-kafka"))
        try:
            if not consumer.partition_count(self.config.topic):
                raise UnknownTopicError(f"Kafka topic {self.config.topic!r} does not exist")
            return EventStream(consumer, self.config, self.metrics)
        except BaseException:
            consumer.close()
            raise

    def _admin_options(self) -> dict[str, Any]:
        return connection_options(
            self.config.brokers,
            self.config.security,
            client_id=self.config.client_id or "rivven-kafka",
            request_timeout_ms=self.config.request_timeout_ms,
        )

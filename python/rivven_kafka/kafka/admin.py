"""Questions about a Kafka cluster."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from kafka import KafkaAdminClient
from kafka import errors as kafka_errors
from kafka.admin import ConfigResourceType
from kafka.protocol.admin import DescribeConfigsRequest
from kafka.protocol.consumer import HeartbeatRequest
from kafka.protocol.producer import InitProducerIdRequest

from rivven_kafka.kafka.connect import connected
from rivven_kafka.kafka.errors import translate

_DENIED = kafka_errors.TopicAuthorizationFailedError.errno
_GROUP_DENIED = kafka_errors.GroupAuthorizationFailedError.errno
_TRANSACTIONAL_ID_DENIED = kafka_errors.TransactionalIdAuthorizationFailedError.errno

_DEFAULT_CONFIG = 5
"""`ConfigSource` of an option that nobody has set. Source: KIP-226."""

_CONFIG_BATCH = 2_000
"""Topics in one DescribeConfigs request: 8 MB of an answer are taken, and a topic of Kafka 4.1 takes 1.2 kB
of it."""


@dataclass(frozen=True)
class TopicDescription:
    """A Kafka topic.

    Attributes:
        name: Its name.
        partitions: Number of partitions.
        replication_factor: Replicas of its first partition.
        internal: Whether it belongs to Kafka itself.
        operations: What the user may do with it, in Kafka's words (`READ`); None where Kafka does not tell
            (before 2.3).
    """

    name: str
    partitions: int
    replication_factor: int
    internal: bool
    operations: frozenset[str] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class TopicConfig:
    """One option of a Kafka topic.

    Attributes:
        value: Its value; None for a secret.
        default: Whether neither the topic nor the cluster has set it.
    """

    value: str | None
    default: bool


class Admin:
    """An administrative client, for reading only. Also a context manager.

    Args:
        options: Options of kafka-python's clients, see `connection_options`.

    Raises:
        ConfigError: The options cannot work, whatever the brokers do.
        ConnectError: No bootstrap broker answers within the request timeout.
        AuthenticationError: The brokers do not accept the credentials.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._brokers = ", ".join(options["bootstrap_servers"])
        try:
            self._client = connected(KafkaAdminClient, options)
        except kafka_errors.KafkaError as error:
            raise translate(error, f"cannot connect to Kafka at {self._brokers}") from error

    def brokers(self) -> list[str]:
        """The `host:port` that the brokers of the cluster advertise."""
        return sorted(_address(broker) for broker in self._client._manager.cluster.brokers())

    def cluster_id(self) -> str | None:
        """The id of the cluster, None where the brokers give none."""
        found = self._client._manager.cluster.cluster_id
        return None if found is None else str(found)

    def topics(self, names: Iterable[str] | None = None) -> tuple[dict[str, TopicDescription], list[str]]:
        """Topics of the cluster, from one metadata request.

        Args:
            names: The topics to describe; all that the user may see if None.

        Returns:
            Those that exist, by name, and the names of those that the user may not even see. Kafka does not
            tell whether the latter exist.

        Raises:
            ConnectError: The broker asked cannot be reached.
        """
        try:
            found = self._client.describe_topics(None if names is None else list(names))
        except kafka_errors.KafkaError as error:
            raise translate(error, f"cannot list the topics of Kafka at {self._brokers}") from error
        described = {topic["name"]: _description(topic) for topic in found if not topic["error_code"]}
        return described, [topic["name"] for topic in found if topic["error_code"] == _DENIED]

    def topic_configs(self, names: Sequence[str]) -> dict[str, dict[str, TopicConfig]]:
        """The options of topics, by topic and name, from one request per 10,000 topics.

        Topics whose options the user may not see (`DESCRIBE_CONFIGS`) are left out.

        Raises:
            ConnectError: The broker asked cannot be reached.
        """
        configs = {}
        for start in range(0, len(names), _CONFIG_BATCH):
            resources = [
                (ConfigResourceType.TOPIC, name, None) for name in names[start : start + _CONFIG_BATCH]
            ]
            answer = self._ask(DescribeConfigsRequest(resources=resources, include_synonyms=False))
            for result in answer.results:
                if not result.error_code:
                    configs[result.resource_name] = {
                        config.name: TopicConfig(config.value, config.config_source == _DEFAULT_CONFIG)
                        for config in result.configs
                    }
        return configs

    def may_read_group(self, group: str) -> bool:
        """Whether the user may use a consumer group (`READ`).

        Asks with a heartbeat of a member that does not exist, which changes nothing. Kafka refuses it for
        want of the right before it looks for the group. To describe the group would need its coordinator, and
        make Kafka create its topic of offsets.
        """
        request = HeartbeatRequest(group_id=group, generation_id=-1, member_id="", max_version=3)
        return bool(self._ask(request).error_code != _GROUP_DENIED)

    def may_write_transactional_id(self, transactional_id: str) -> bool:
        """Whether the user may use a transactional id (`WRITE`).

        Asks for a producer id with a timeout that Kafka does not allow. It refuses that for want of the right
        first, and in any case before it fences a producer that is at work.
        """
        request = InitProducerIdRequest(
            transactional_id=transactional_id, transaction_timeout_ms=0, producer_id=-1, producer_epoch=-1
        )
        return bool(self._ask(request).error_code != _TRANSACTIONAL_ID_DENIED)

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def __enter__(self) -> Admin:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, request: Any) -> Any:
        try:
            return self._client._manager.run(self._client._manager.send, request)
        except kafka_errors.KafkaError as error:
            raise translate(error, f"cannot ask Kafka at {self._brokers}") from error


def describe_topics(
    options: Mapping[str, Any], topics: Sequence[str] | None = None
) -> dict[str, TopicDescription]:
    """Topics of the cluster by name, from one metadata request over a connection of its own.

    Args:
        options: Options of kafka-python's clients, see `connection_options`.
        topics: The topics to describe, those that do not exist are left out; all if None.

    Raises:
        ConfigError: The options cannot work, whatever the brokers do.
        ConnectError: No bootstrap broker answers within the request timeout.
        AuthenticationError: The brokers do not accept the credentials.
    """
    with Admin(options) as admin:
        return admin.topics(topics)[0]


def cluster_id(options: Mapping[str, Any]) -> str | None:
    """The id of the cluster, from a connection of its own; None where its brokers give none.

    Args:
        options: Options of kafka-python's clients, see `connection_options`.

    Raises:
        ConfigError: The options cannot work, whatever the brokers do.
        ConnectError: No bootstrap broker answers within the request timeout.
        AuthenticationError: The brokers do not accept the credentials.
    """
    with Admin(options) as admin:
        return admin.cluster_id()


def _address(broker: Any) -> str:
    return f"[{broker.host}]:{broker.port}" if ":" in broker.host else f"{broker.host}:{broker.port}"


def _description(topic: Mapping[str, Any]) -> TopicDescription:
    partitions = topic["partitions"]
    replicas = len(partitions[0]["replica_nodes"]) if partitions else 0
    operations = topic.get("authorized_operations")
    return TopicDescription(
        topic["name"],
        len(partitions),
        replicas,
        bool(topic["is_internal"]),
        None if operations is None else frozenset(operations),
    )

"""Where the partitions of Kafka topics begin and end, and how far a consumer group has come in them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient, TopicPartition
from kafka import errors as kafka_errors
from kafka.protocol.consumer import OffsetSpec

from rivven_kafka.errors import BrokerError, RetriableBrokerError
from rivven_kafka.kafka.connect import connected
from rivven_kafka.kafka.errors import translate
from rivven_kafka.kafka.group_offsets import committed_offsets
from rivven_kafka.kafka.topic_ids import topic_id_text

_NO_GROUP = "GroupIdNotFoundError"
_MOVING = ("CoordinatorLoadInProgressError", "CoordinatorNotAvailableError", "NotCoordinatorError")


@dataclass(frozen=True)
class PartitionState:
    """A Kafka partition at one moment.

    Attributes:
        start: Offset of its first record.
        end: Offset that its next record gets; with `read_committed`, of the first open transaction.
        committed: The offset that the group has committed, the next it reads; None if there is none.
    """

    start: int
    end: int
    committed: int | None


def partition_states(
    options: Mapping[str, Any], group: str, topics: Mapping[str, int], isolation_level: str
) -> dict[tuple[str, int], PartitionState]:
    """How all partitions of topics stand.

    The committed offsets are read first, so that they are never beyond an end.

    Args:
        options: Options of kafka-python's clients, see `connection_options`.
        group: The consumer group.
        topics: Partitions of the topics, by name.
        isolation_level: `read_committed` or `read_uncommitted`.

    Raises:
        ConnectError: No bootstrap broker answers within the request timeout.
        AuthenticationError: The brokers do not accept the credentials.
        RetriableBrokerError: The group's coordinator moves.
    """
    places = [TopicPartition(name, number) for name, count in topics.items() for number in range(count)]
    committed = committed_offsets(options, [(group, tp.topic, tp.partition) for tp in places], stable=False)
    if committed is None:
        raise RetriableBrokerError(f"the coordinator of Kafka group {group!r} is moving: try again")
    try:
        with closing(connected(KafkaAdminClient, options)) as client:
            starts = client.list_partition_offsets(dict.fromkeys(places, OffsetSpec.EARLIEST))
            ends = client.list_partition_offsets(dict.fromkeys(places, OffsetSpec.LATEST), isolation_level)
    except kafka_errors.KafkaError as error:
        raise translate(error, "cannot read where Kafka partitions begin and end") from error
    return {
        (tp.topic, tp.partition): PartitionState(
            starts[tp].offset,
            ends[tp].offset,
            committed.get((group, tp.topic, tp.partition), (None, ""))[0],
        )
        for tp in places
    }


def topic_ids(options: Mapping[str, Any], topics: Mapping[str, int]) -> dict[str, str | None]:
    """The ids of topics in Kafka's form (22 characters); None where the cluster has none (before 2.8).

    Raises:
        ConnectError: No bootstrap broker answers within the request timeout.
        AuthenticationError: The brokers do not accept the credentials.
    """
    try:
        with closing(connected(KafkaAdminClient, options)) as client:
            found = client.describe_topics(list(topics))
    except kafka_errors.KafkaError as error:
        raise translate(error, "cannot read the ids of Kafka topics") from error
    return {topic["name"]: topic_id_text(topic.get("topic_id")) for topic in found}


def member_count(options: Mapping[str, Any], group: str) -> int:
    """How many members a consumer group has now.

    Raises:
        ConnectError: No bootstrap broker answers within the request timeout.
        AuthenticationError: The brokers do not accept the credentials.
        RetriableBrokerError: The group's coordinator moves.
        BrokerError: The user may not describe the group.
    """
    try:
        with closing(connected(KafkaAdminClient, options)) as client:
            found = client.describe_groups([group])[group]
    except kafka_errors.KafkaError as error:
        raise translate(error, f"cannot describe Kafka group {group!r}") from error
    if found["error"] is not None and _NO_GROUP not in found["error"]:
        kind = RetriableBrokerError if any(name in found["error"] for name in _MOVING) else BrokerError
        raise kind(f"cannot describe Kafka group {group!r}: {found['error']}")
    return len(found["members"])

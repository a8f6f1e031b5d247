"""The consumer groups of a Kafka cluster, and where they stand."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient
from kafka import errors as kafka_errors

from rivven_kafka.errors import RetriableBrokerError
from rivven_kafka.kafka.connect import connected
from rivven_kafka.kafka.errors import translate
from rivven_kafka.kafka.group_offsets import committed_offsets
from rivven_kafka.kafka.group_state import member_count

_SHARE = "share"
"""The type of groups that have no offsets (KIP-932)."""

_WITHOUT_MEMBERS = ("empty", "dead")


@dataclass(frozen=True)
class ConsumerGroup:
    """A consumer group at one moment.

    Attributes:
        name: Its name.
        active: Whether it has members.
        offsets: The next offset to read, by topic and partition, where it has committed one.
    """

    name: str
    active: bool
    offsets: dict[tuple[str, int], int]


def consumer_groups(
    options: Mapping[str, Any], topics: Mapping[str, int], names: Collection[str] | None = None
) -> list[ConsumerGroup]:
    """The groups that have committed offsets in some topics, sorted by name.

    Args:
        options: Options of kafka-python's clients, see `connection_options`.
        topics: Partitions of the topics, by name.
        names: Only groups of these names; all that the user may see if None.

    Raises:
        ConnectError: No bootstrap broker answers within the request timeout.
        AuthenticationError: The brokers do not accept the credentials.
        RetriableBrokerError: A transaction is about to change offsets, or a coordinator moves.
    """
    states = {name: state for name, state in _states(options).items() if names is None or name in names}
    places = [
        (group, topic, number)
        for group in states
        for topic, count in topics.items()
        for number in range(count)
    ]
    committed = committed_offsets(options, places, stable=True)
    if committed is None:
        raise RetriableBrokerError(
            "Kafka does not tell the offsets of all groups now: a transaction is open, or a coordinator is "
            "moving: try again"
        )
    offsets: dict[str, dict[tuple[str, int], int]] = {}
    for (group, topic, number), (offset, _) in committed.items():
        offsets.setdefault(group, {})[topic, number] = offset
    return [
        ConsumerGroup(name, _is_active(options, name, states[name]), offsets[name])
        for name in sorted(offsets)
    ]


def has_members(options: Mapping[str, Any], name: str) -> bool:
    """Whether a group exists and has members.

    Raises:
        ConnectError: No bootstrap broker answers within the request timeout.
        AuthenticationError: The brokers do not accept the credentials.
    """
    states = _states(options)
    return name in states and _is_active(options, name, states[name])


def _is_active(options: Mapping[str, Any], name: str, state: str) -> bool:
    """Whether a group has members; brokers before 2.6 do not tell its state, and are asked for the members.

    A group of the newer protocol (KIP-848) can only be told by its state: asked for its members in the old
    way, Kafka does not know it.
    """
    return state not in _WITHOUT_MEMBERS if state else member_count(options, name) > 0


def _states(options: Mapping[str, Any]) -> dict[str, str]:
    """The states of all groups that have offsets, by name; empty where the broker does not tell."""
    try:
        with closing(connected(KafkaAdminClient, options)) as client:
            listed = client.list_groups()
    except kafka_errors.KafkaError as error:
        raise translate(error, "cannot list the consumer groups of Kafka") from error
    return {
        group["group_id"]: str(group.get("group_state") or "").lower()
        for group in listed
        if str(group.get("group_type") or "").lower() != _SHARE
    }

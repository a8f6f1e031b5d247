"""The consumer groups of a Kafka cluster, and where they stand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient
from kafka import errors as kafka_errors

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
    options: Mapping[str, Any], topics: Mapping[str, int], wanted: Callable[[str], bool]
) -> tuple[list[ConsumerGroup], list[str]]:
    """The groups that have committed offsets in some topics.

    Args:
        options: Options of kafka-python's clients, see `connection_options`.
        topics: Partitions of the topics, by name.
        wanted: Whether a group is to be looked at, by its name; the others are asked nothing.

    Returns:
        The groups, sorted by name; and the names of those whose offsets Kafka does not tell now, since a
        transaction is about to change them or their coordinator moves.

    Raises:
        ConnectError: No bootstrap broker answers within the request timeout.
        AuthenticationError: The brokers do not accept the credentials.
    """
    states = {name: state for name, state in _states(options).items() if wanted(name)}
    offsets = _offsets(options, topics, states)
    unsettled: list[str] = []
    if offsets is None:
        # One of them holds up the answer for all.
        each = {name: _offsets(options, topics, [name]) for name in states}
        unsettled = sorted(name for name, found in each.items() if found is None)
        offsets = {name: found[name] for name, found in each.items() if found}
    groups = [
        ConsumerGroup(name, _is_active(options, name, states[name]), offsets[name])
        for name in sorted(offsets)
    ]
    return groups, unsettled


def _offsets(
    options: Mapping[str, Any], topics: Mapping[str, int], groups: Iterable[str]
) -> dict[str, dict[tuple[str, int], int]] | None:
    """What groups have committed, by group, topic and partition; None if Kafka does not tell all of it."""
    places = [
        (group, topic, number)
        for group in groups
        for topic, count in topics.items()
        for number in range(count)
    ]
    committed = committed_offsets(options, places, stable=True)
    if committed is None:
        return None
    offsets: dict[str, dict[tuple[str, int], int]] = {}
    for (group, topic, number), (offset, _) in committed.items():
        offsets.setdefault(group, {})[topic, number] = offset
    return offsets


def group_names(options: Mapping[str, Any]) -> list[str] | None:
    """The names of all groups that the user may see; None when a coordinator moves: ask again.

    Raises:
        ConnectError: No bootstrap broker answers within the request timeout.
        AuthenticationError: The brokers do not accept the credentials.
    """
    try:
        client = connected(KafkaAdminClient, options)
    except kafka_errors.KafkaError as error:
        raise translate(error, "cannot connect to Kafka") from error
    with closing(client):
        try:
            return [group["group_id"] for group in client.list_groups()]
        except kafka_errors.KafkaError as error:
            if isinstance(error, kafka_errors.RetriableError):
                return None
            raise translate(error, "cannot list the consumer groups of Kafka") from error


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

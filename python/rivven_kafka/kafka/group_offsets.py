"""Offsets that a consumer group has committed, read without being a member."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kafka import KafkaAdminClient, TopicPartition
from kafka import errors as kafka_errors
from kafka.structs import OffsetAndMetadata

from rivven_kafka.kafka.connect import connected
from rivven_kafka.kafka.errors import translate
from rivven_kafka.kafka.offset_answers import require_told


class _StableAdmin(KafkaAdminClient):  # type: ignore[misc]  # kafka-python is untyped
    """Asks for offsets that no open transaction is about to change."""

    def _list_group_offsets_requests(self, group_specs: Any) -> Iterator[Any]:
        for group, request in super()._list_group_offsets_requests(group_specs):
            request.require_stable = True
            yield group, request


def committed_offsets(
    options: Mapping[str, Any], places: Iterable[tuple[str, str, int]], *, stable: bool
) -> dict[tuple[str, str, int], tuple[int, str]] | None:
    """Offsets and their metadata, by group, topic and partition; places without one are left out.

    Args:
        options: Options of kafka-python's clients, see `connection_options`.
        places: Groups, topics and partitions to look at.
        stable: Look at no offset that an open transaction is about to change.

    Returns:
        None when Kafka cannot tell yet: a transaction is open, or the coordinator moves. Ask again.

    Raises:
        ConnectError: No bootstrap broker answers within the request timeout.
        AuthenticationError: The brokers do not accept the credentials.
        AuthorizationError: The user may not read the group.
    """
    wanted: dict[str, list[TopicPartition]] = {}
    for group, topic, partition in places:
        wanted.setdefault(group, []).append(TopicPartition(topic, partition))
    if not wanted:
        return {}
    try:
        client = connected(_StableAdmin if stable else KafkaAdminClient, options)
    except kafka_errors.KafkaError as error:
        raise translate(error, "cannot connect to Kafka") from error
    try:
        found: dict[str, dict[TopicPartition, OffsetAndMetadata]] = client.list_group_offsets(wanted)
        for group, partitions in wanted.items():
            require_told(partitions, found.get(group, {}))
    except kafka_errors.KafkaError as error:
        if isinstance(error, kafka_errors.RetriableError):
            return None
        raise translate(error, "cannot read committed offsets") from error
    finally:
        client.close()
    return {
        (group, tp.topic, tp.partition): (at.offset, at.metadata or "")
        for group, offsets in found.items()
        for tp, at in offsets.items()
        if at.offset >= 0
    }


def write_committed(
    options: Mapping[str, Any], group: str, offsets: Mapping[tuple[str, int], tuple[int, str]]
) -> None:
    """Commits offsets and their metadata, by topic and partition, for a group without members.

    Raises:
        RivvenKafkaError: Kafka has refused, because the group has members for instance.
    """
    if not offsets:
        return
    wanted = {
        TopicPartition(*place): OffsetAndMetadata(offset, metadata, -1)
        for place, (offset, metadata) in offsets.items()
    }
    try:
        client = connected(KafkaAdminClient, options)
        try:
            answers = client.alter_group_offsets(group, wanted)
        finally:
            client.close()
        for answer in answers.values():
            if answer is not kafka_errors.NoError:
                raise answer()
    except kafka_errors.KafkaError as error:
        raise translate(error, f"cannot commit offsets of group {group!r}") from error

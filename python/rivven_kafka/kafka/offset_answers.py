"""Believes of answers about offsets only what was asked for, and nothing that cannot be.

kafka-python goes to whatever offset an answer names, also in partitions that it did not ask about, and takes
a partition that is missing for one without a commit: with `auto_offset_reset: latest` that would skip records
without a word.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, KafkaProtocolError, UnknownTopicOrPartitionError

_NONE = -1
"""The committed offset where there is no commit."""

_CONTRADICTIONS = 3
"""Times in a row that Kafka may not hold an offset that it has just named: retention may come in between."""


class _Found(dict[TopicPartition, Any]):
    """What a group has committed.

    Attributes:
        named: All partitions that the answer tells of, also those without a commit.
    """

    named: set[TopicPartition]


def check_committed(consumer: KafkaConsumer) -> None:
    """Makes the coordinator of a consumer check the offsets that its group has committed."""
    coordinator = consumer._coordinator
    read, ask = coordinator._handle_offset_fetch_response, coordinator._send_offset_fetch_request

    def checked(answer: Any) -> _Found:
        topics = _topics(answer, coordinator.group_id)
        named = Counter(
            TopicPartition(topic.name, each.partition_index) for topic in topics for each in topic.partitions
        )
        found = _Found(read(answer))
        for topic in topics:
            for each in topic.partitions:
                place = TopicPartition(topic.name, each.partition_index)
                if each.error_code == UnknownTopicOrPartitionError.errno:
                    # kafka-python takes it for one without a commit.
                    raise UnknownTopicOrPartitionError(f"no committed offset of {_shown(place)}")
                if each.committed_offset < _NONE or named[place] > 1:
                    raise KafkaProtocolError(f"the committed offset of {_shown(place)} makes no sense")
        found.named = set(named)
        return found

    async def asked(partitions: Iterable[TopicPartition] | None) -> dict[TopicPartition, Any]:
        found: _Found = await ask(partitions)
        if partitions is None:
            return found
        wanted = set(partitions)
        require_told(wanted, found.named)
        return {place: at for place, at in found.items() if place in wanted}

    coordinator._handle_offset_fetch_response = checked
    coordinator._send_offset_fetch_request = asked


def _topics(answer: Any, group: str) -> list[Any]:
    if answer.API_VERSION < 8:
        return list(answer.topics)
    for each in answer.groups:
        if each.group_id == group:
            # kafka-python reads the first one.
            answer.groups = [each]
            return list(each.topics)
    raise KafkaProtocolError("the answer about committed offsets does not tell of the group")


def require_told(wanted: Iterable[TopicPartition], told: Iterable[TopicPartition]) -> None:
    """Makes sure that an answer about committed offsets tells of all partitions, also of those without one.

    Raises:
        KafkaProtocolError: It does not.
    """
    missing = sorted(set(wanted).difference(told))
    if missing:
        raise KafkaProtocolError(f"the answer about committed offsets does not tell of {_shown(missing[0])}")


class Resets:
    """Judges where a consumer goes on whose position Kafka did not hold.

    Args:
        fail: Called with the error that the next poll is to raise.
    """

    def __init__(self, fail: Callable[[KafkaError], None]) -> None:
        self._fail = fail
        self._given: dict[TopicPartition, tuple[int, int]] = {}

    def lost(self, partition: TopicPartition, offset: int | None) -> None:
        """Kafka does not hold the position `offset`."""
        given, times = self._given.get(partition, (None, 0))
        if offset is None or offset != given:
            self._given.pop(partition, None)
            return
        self._given[partition] = (offset, times + 1)
        if times + 1 >= _CONTRADICTIONS:
            text = f"Kafka names offset {offset} of {_shown(partition)} to go on at, and does not hold it"
            self._fail(KafkaProtocolError(text))

    def usable(self, partition: TopicPartition, offset: int) -> bool:
        """Whether reading can go on at `offset`, which Kafka has named."""
        if offset < 0:
            self._fail(KafkaProtocolError(f"Kafka names offset {offset} of {_shown(partition)} to go on at"))
            return False
        _, times = self._given.get(partition, (None, 0))
        self._given[partition] = (offset, times)
        return True


def _shown(partition: TopicPartition) -> str:
    return f"{str(partition.topic)[:249]}:{partition.partition}"

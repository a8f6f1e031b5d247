"""Copying up to fixed offsets, and no further."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rivven_kafka._native import Publisher, RecordBlock
from rivven_kafka.errors import ConfigError, RivvenKafkaError
from rivven_kafka.kafka import BlockConsumer
from rivven_kafka.kafka.log_gap import is_gap
from rivven_kafka.pipeline.lag import Partition
from rivven_kafka.reading.kafka_log import cut

log = logging.getLogger(__name__)

_FIRST_PROBE_S = 2.0
_LONGEST_PROBE_S = 30.0
_PROBE_TIMEOUT_S = 5.0
_FOREIGN_AFTER_S = 30.0


@dataclass
class Copied:
    """What is known to be in Rivven of a partition, from all runs of a pipeline.

    Attributes:
        records: Records that Rivven has acknowledged, or had already.
        size_bytes: Their size in Kafka, without the overhead of batches (bytes).
    """

    records: int = 0
    size_bytes: int = 0


@dataclass(frozen=True)
class Jump:
    """Offsets that were not read because Kafka did not hold them any more.

    Attributes:
        topic: Kafka topic.
        partition: Its partition.
        first: The first of them; None: the first that was to be read, as the group had committed nothing.
        until: The one behind the last.
    """

    topic: str
    partition: int
    first: int | None
    until: int


@dataclass
class _Wait:
    """A partition whose position does not move."""

    position: int
    probe_at: float
    pause_s: float = _FIRST_PROBE_S


class Until:
    """The ends of one run of a source. `forget` and `assigned` are called during a poll, by another thread.

    Args:
        ends: Where to end, by Kafka topic and partition; partitions that are not listed are left alone. None:
            nowhere, and nothing here has any effect.
        copied: Counts what arrives.
        jumps: Gets what Kafka did not hold any more.
        consumer: Reads.
        publisher: Publishes.
        options: Options of the consumer, to ask Kafka with.
        group: The consumer group, for messages.
    """

    def __init__(
        self,
        ends: Mapping[Partition, int] | None,
        copied: dict[Partition, Copied],
        jumps: list[Jump],
        consumer: BlockConsumer,
        publisher: Publisher,
        options: Mapping[str, Any],
        group: str,
    ) -> None:
        self._ends = ends
        self._copied = copied
        self._jumps = jumps
        self._consumer = consumer
        self._publisher = publisher
        self._options = options
        self._group = group
        self._done: set[Partition] = set()
        self._assigned: set[Partition] = set()
        self._assigned_at: float | None = None
        self._waits: dict[Partition, _Wait] = {}
        # Where reading began, of each assignment.
        self._first: dict[Partition, int] = {}
        # Of each block that was read, in order: the position behind it, its records and their size.
        self._read: dict[Partition, deque[tuple[int, int, int]]] = {}

    @property
    def done(self) -> bool:
        """Whether everything before the ends is delivered."""
        return self._ends is not None and len(self._done) == len(self._ends)

    def covers(self, partition: Partition) -> bool:
        """Whether a partition is to be copied."""
        return self._ends is None or partition in self._ends

    def cut(self, blocks: list[RecordBlock]) -> list[RecordBlock]:
        """What lies before the ends."""
        if self._ends is None:
            return blocks
        self.note_jumps()
        kept = []
        for block in blocks:
            place = block.topic, block.partition
            first = block.next_offset if block.first_offset is None else block.first_offset
            self._first.setdefault(place, first)
            end = self._ends.get(place, 0)
            within = cut(block, end)[0]
            # Without records it still carries a position, but not if the end cut them all away.
            if not len(within) and (len(block) or block.next_offset > end):
                continue
            behind = min(within.next_offset, end)
            self._read.setdefault(place, deque()).append((behind, len(within), within.size_bytes))
            kept.append(within)
        return kept

    def note_jumps(self) -> None:
        """Finds what Kafka does not hold any more, before anything behind it is committed."""
        if self._ends is not None:
            self._jumps += [
                Jump(*place, first, until) for place, (first, until) in self._consumer.take_jumps().items()
            ]

    def limit(self, offsets: Mapping[Partition, int]) -> Mapping[Partition, int]:
        """The offsets, but none of them beyond its end."""
        ends = self._ends
        if ends is None:
            return offsets
        return {each: min(offset, ends.get(each, 0)) for each, offset in offsets.items()}

    def ends(self, heard: Mapping[Partition, int]) -> Mapping[Partition, int]:
        """What counts as the ends of logs that were heard of; also of one that has become shorter."""
        ends = self._ends
        return heard if ends is None else {each: ends.get(each, 0) for each in heard}

    def limit_moved(self, moved: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
        """The same for positions as the publisher tells them."""
        if self._ends is None:
            return moved
        found = self.limit({(topic, partition): offset for topic, partition, offset in moved})
        for partition, offset in found.items():
            self._count(partition, offset)
        return [(*partition, offset) for partition, offset in found.items()]

    def look(self, *, waiting: bool) -> list[tuple[str, int, int]]:
        """Finds what is complete; keeps Kafka from sending more of it.

        Args:
            waiting: Whether nothing is fetched at present.

        Returns:
            The partitions whose end was reached since the last call, and it.

        Raises:
            ConfigError: Another member of the group has partitions that are to be copied here.
        """
        if self._ends is None:
            return []
        self._require_all()
        found = []
        # As long as others move, their turn may just not have come.
        idle = not waiting and not self._publisher.in_flight_records()
        # One at a time, none while Kafka is away: each may take its whole time, and nothing is polled then.
        may_probe = idle and self._consumer.has_coordinator
        for partition, end in self._ends.items():
            if partition in self._done:
                continue
            position = self._consumer.position(*partition)
            if position is None or self._publisher.in_flight_records(*partition):
                self._waits.pop(partition, None)
                continue
            self._first.setdefault(partition, position)
            if position < end and may_probe and self._is_due(partition, position):
                may_probe = False
                position = self._probe(partition, position, end)
            if position >= end:
                found.append((*partition, end))
                self._count(partition, end)
                self._waits.pop(partition, None)
        self._done.update((topic, number) for topic, number, _ in found)
        self.hold()
        return found

    def began_within(self, partition: Partition) -> bool:
        """Whether reading began before the end, or at it: the group may stand further on already."""
        return self._ends is None or self._first.get(partition, 0) <= self._ends[partition]

    def hold(self) -> None:
        """Keeps Kafka from sending more of what is complete, or not to be copied."""
        if self._ends is not None:
            self._consumer.hold(self._done | (self._assigned - self._ends.keys()))

    def forget(self, partitions: Iterable[Partition]) -> None:
        """The partitions belong to someone else now; what is complete is committed first, or read again."""
        partitions = set(partitions)
        self._assigned -= partitions
        self._done -= partitions
        for each in partitions:
            self._read.pop(each, None)
            self._first.pop(each, None)

    def assigned(self, partitions: Sequence[Partition]) -> None:
        """The partitions are ours."""
        self._assigned.update(partitions)
        self._assigned_at = time.monotonic()

    def _count(self, partition: Partition, position: int) -> None:
        read = self._read.get(partition)
        copied = self._copied.setdefault(partition, Copied())
        while read and read[0][0] <= position:
            _, records, size_bytes = read.popleft()
            copied.records += records
            copied.size_bytes += size_bytes

    def _require_all(self) -> None:
        assert self._ends is not None
        if self._assigned_at is None or time.monotonic() - self._assigned_at < _FOREIGN_AFTER_S:
            return
        lacking = sorted(self._ends.keys() - self._assigned - self._done)
        if lacking:
            topic, partition = lacking[0]
            raise ConfigError(
                f"consumer_group: got {self._group!r}, and another member of it has {len(lacking)} of the "
                f"partitions: expected a group that nobody else uses",
                topic=topic,
                partition=partition,
            )

    def _is_due(self, partition: Partition, position: int) -> bool:
        """Whether it is time to ask why nothing comes."""
        now = time.monotonic()
        wait = self._waits.get(partition)
        if wait is None or wait.position != position:
            self._waits[partition] = _Wait(position, now + _FIRST_PROBE_S)
            return False
        if now < wait.probe_at:
            return False
        wait.pause_s = min(2 * wait.pause_s, _LONGEST_PROBE_S)
        wait.probe_at = now + wait.pause_s
        return True

    def _probe(self, partition: Partition, position: int, end: int) -> int:
        """The end, if there is nothing before it, else the position."""
        try:
            if is_gap(self._options, partition, position, end, _PROBE_TIMEOUT_S):
                return end
        except RivvenKafkaError as error:
            log.debug("cannot tell whether records are left before offset %d: %s", end, error)
        return position

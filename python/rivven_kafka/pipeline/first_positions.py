"""Where reading begins in partitions that the group has just assigned, and where it goes on after a gap."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from rivven_kafka._native import RecordBlock
from rivven_kafka.kafka import BlockConsumer
from rivven_kafka.pipeline.guarantee import Partition


class FirstPositions:
    """Finds, once for each assignment, the offset that a partition is read from.

    With `start_offset: latest` that has to be committed before anything was read: without a commit the next
    start, or the next owner, begins at a later end, and what came in between is lost. The same holds where
    Kafka did not have the position any more, and reading went on at the end.

    Args:
        consumer: Reads the partitions.
    """

    def __init__(self, consumer: BlockConsumer) -> None:
        self._consumer = consumer
        self._sought: set[Partition] = set()
        self._resets: dict[Partition, int] = {}

    def assigned(self, partitions: Iterable[Partition]) -> None:
        """The partitions are ours."""
        self._sought.update(partitions)

    def forget(self, partitions: Iterable[Partition]) -> None:
        """The partitions belong to someone else now."""
        gone = set(partitions)
        self._sought -= gone
        for partition in gone:
            self._resets.pop(partition, None)

    def take(self, blocks: Iterable[RecordBlock]) -> dict[Partition, int]:
        """The first positions that are known since the last call, and were not before.

        Args:
            blocks: All that was taken from the consumer since then; nothing of them is published yet.
        """
        if not self._sought:
            return {}
        read = first_offsets(blocks)
        found: dict[Partition, int] = {}
        for partition in sorted(self._sought):
            # The consumer's own position is behind what was taken.
            position = read.get(partition)
            if position is None:
                position = self._consumer.position(*partition)
            if position is not None:
                found[partition] = position
        self._sought.difference_update(found)
        return found

    def take_resets(
        self, blocks: Iterable[RecordBlock], in_flight: Callable[[str, int], int]
    ) -> dict[Partition, int]:
        """Where reading went on where Kafka did not hold the position any more, to be committed now.

        Args:
            blocks: All that was taken from the consumer since then; nothing of them is published yet.
            in_flight: Tells how many records of a partition are on the way: they come before.
        """
        self._resets |= self._consumer.take_resets()
        if not self._resets:
            return {}
        read = first_offsets(blocks)
        # What is delivered from there on is committed anyway. A partition that is sought is found by `take`.
        self._resets = {
            partition: offset
            for partition, offset in self._resets.items()
            if partition not in self._sought and read.get(partition, -1) < offset
        }
        found = {
            partition: offset
            for partition, offset in self._resets.items()
            if partition not in read and not in_flight(*partition)
        }
        for partition in found:
            del self._resets[partition]
        return found


def first_offsets(blocks: Iterable[RecordBlock]) -> Mapping[Partition, int]:
    """Where the blocks of each partition begin."""
    starts: dict[Partition, int] = {}
    for block in blocks:
        first = block.next_offset if block.first_offset is None else block.first_offset
        starts.setdefault((block.topic, block.partition), first)
    return starts

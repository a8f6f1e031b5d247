"""Where reading begins in partitions that the group has just assigned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rivven_kafka._native import RecordBlock
from rivven_kafka.kafka import BlockConsumer
from rivven_kafka.pipeline.guarantee import Partition


class FirstPositions:
    """Finds, once for each assignment, the offset that a partition is read from.

    With `start_offset: latest` that has to be committed before anything was read: without a commit the next
    start, or the next owner, begins at a later end, and what came in between is lost.

    Args:
        consumer: Reads the partitions.
    """

    def __init__(self, consumer: BlockConsumer) -> None:
        self._consumer = consumer
        self._sought: set[Partition] = set()

    def assigned(self, partitions: Iterable[Partition]) -> None:
        """The partitions are ours."""
        self._sought.update(partitions)

    def forget(self, partitions: Iterable[Partition]) -> None:
        """The partitions belong to someone else now."""
        self._sought.difference_update(partitions)

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


def first_offsets(blocks: Iterable[RecordBlock]) -> Mapping[Partition, int]:
    """Where the blocks of each partition begin."""
    starts: dict[Partition, int] = {}
    for block in blocks:
        first = block.next_offset if block.first_offset is None else block.first_offset
        starts.setdefault((block.topic, block.partition), first)
    return starts

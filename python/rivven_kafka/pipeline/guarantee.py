"""What a source does for its delivery guarantee, beside publishing and committing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence

from rivven_kafka._native import RecordBlock
from rivven_kafka.kafka import BlockConsumer, Position

_COMMIT_TIMEOUT_MS = 5_000

Partition = tuple[str, int]
"""A Kafka topic and its partition."""


class Guarantee(ABC):
    """How often a record can arrive. `forget` and `assigned` are called during a poll, by another thread."""

    @abstractmethod
    def admit(self, blocks: list[RecordBlock]) -> list[RecordBlock]:
        """The blocks that may be published now; those of partitions that are new are prepared for."""

    @abstractmethod
    def begin(self, starts: Mapping[Partition, int]) -> Mapping[Partition, int]:
        """Reading begins at these offsets, and the group may have committed none; called before `admit`.

        Returns:
            Those that are to be committed like what is delivered; the others are committed by `admit`.
        """

    @abstractmethod
    def go_on(self) -> None:
        """Called between two polls."""

    @abstractmethod
    def position(self, topic: str, partition: int, offset: int) -> Position:
        """What to commit for a partition that is delivered up to `offset`."""

    @abstractmethod
    def may_commit(self, partition: Partition) -> bool:
        """Whether a position can be committed although nothing of the partition was published."""

    @abstractmethod
    def prepare_for(self, partitions: Iterable[Partition]) -> None:
        """Positions of these are about to be committed; called before `admit`, which prepares for it."""

    @abstractmethod
    def start_over(self, topic: str) -> None:
        """The topic was deleted and created again: what was committed for it means nothing any more."""

    @abstractmethod
    def last_positions(
        self, moved: Sequence[Position], partitions: Iterable[Partition] | None = None
    ) -> list[Position]:
        """What to commit before partitions, or all, are let go; `moved` included."""

    @abstractmethod
    def forget(self, partitions: Iterable[Partition], *, lost: bool) -> None:
        """The partitions belong to someone else now; with `lost`, they did before we knew."""

    @abstractmethod
    def assigned(self, partitions: Iterable[Partition]) -> None:
        """The partitions are ours."""


class AtLeastOnce(Guarantee):
    """Nothing is lost, and after a crash some records come again.

    Args:
        consumer: Commits.
    """

    def __init__(self, consumer: BlockConsumer) -> None:
        self._consumer = consumer
        self._assigned: set[Partition] = set()

    def admit(self, blocks: list[RecordBlock]) -> list[RecordBlock]:
        """All of them."""
        return blocks

    def begin(self, starts: Mapping[Partition, int]) -> Mapping[Partition, int]:
        """All of them: where there was a commit, it is the same."""
        return starts

    def go_on(self) -> None:
        """Nothing to do."""

    def position(self, topic: str, partition: int, offset: int) -> Position:
        """The offset alone."""
        return Position(topic, partition, offset)

    def may_commit(self, partition: Partition) -> bool:
        """It can."""
        return True

    def prepare_for(self, partitions: Iterable[Partition]) -> None:
        """Nothing to do."""

    def start_over(self, topic: str) -> None:
        """Commits the beginnings of its partitions: records of the new topic may be before the positions."""
        beginnings = [Position(topic, number, 0) for name, number in sorted(self._assigned) if name == topic]
        self._consumer.commit(beginnings, _COMMIT_TIMEOUT_MS)

    def last_positions(
        self, moved: Sequence[Position], partitions: Iterable[Partition] | None = None
    ) -> list[Position]:
        """What has moved."""
        return list(moved)

    def forget(self, partitions: Iterable[Partition], *, lost: bool) -> None:
        """Commits nothing for them from now on."""
        self._assigned.difference_update(partitions)

    def assigned(self, partitions: Iterable[Partition]) -> None:
        """Notes what may be committed."""
        self._assigned.update(partitions)

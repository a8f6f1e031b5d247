"""What a translation of offsets and a migration of groups have found."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """How good a position is.

    Attributes:
        EXACT: Nothing that Rivven holds is skipped, the next record is there, and nothing comes again.
        READ_AGAIN: Nothing is skipped; some records that were read come again.
        MISSING: The next record that Kafka has is not in Rivven; the answer is where the one behind it lies,
            or on the way back to Kafka the record itself.
        NOT_COPIED: The position lies behind what was copied, or behind the end in Kafka; what lies between
            comes again when it is copied.
        NOTHING: There is no record of Kafka at the place or behind it.
    """

    EXACT = "exact"
    READ_AGAIN = "read again"
    MISSING = "missing in Rivven"
    NOT_COPIED = "not copied yet"
    NOTHING = "nothing there"


class Method(StrEnum):
    """How a position was found.

    Attributes:
        SCAN: The whole Rivven partition was read.
        SEARCH: It was searched, and read from there to its end, which has proven the answer.
        PAIRED: The whole of both partitions was read, and their records paired (raw values).
        READ: The record was read, and tells.
    """

    SCAN = "scan"
    SEARCH = "search"
    PAIRED = "paired"
    READ = "read"


@dataclass(frozen=True)
class Translation:
    """A place of one side, and where it is on the other.

    Attributes:
        asked: The place, as `topic:partition@offset` or with a time.
        kafka_topic: Kafka topic; None if nothing of Kafka is there.
        kafka_partition: Its partition.
        kafka_offset: From Kafka: the offset that is meant, the next to read. From Rivven: that of the record.
        rivven_topic: Rivven topic.
        rivven_partition: Its partition.
        rivven_offset: From Kafka: where to read on. From Rivven: where the record lies, here or behind.
        next_kafka_offset: Kafka offset of the first record that is read from there, None at the end.
        status: How good it is.
        again: Records before the Kafka offset that come again.
        method: How it was found.
    """

    asked: str
    kafka_topic: str | None
    kafka_partition: int | None
    kafka_offset: int | None
    rivven_topic: str
    rivven_partition: int
    rivven_offset: int
    next_kafka_offset: int | None
    status: Status
    again: int
    method: Method

    def to_dict(self) -> dict[str, Any]:
        """The same in the types of JSON."""
        return asdict(self)


class Move(StrEnum):
    """What becomes of the position of a group in a Rivven partition.

    Attributes:
        MOVE: It is to be written.
        MOVED: It was written.
        SAME: Rivven has it already.
        KEPT: Rivven has a later one, which stays.
        NOT_COPIED: The group is ahead of what was copied: later.
        MISSING: The next record of the group is not in Rivven.
        ACTIVE: The group has members in Kafka, and its offsets move on.
        BAD_NAME: Rivven does not take the name of the group.
    """

    MOVE = "to move"
    MOVED = "moved"
    SAME = "same"
    KEPT = "would rewind, kept"
    NOT_COPIED = "not copied yet"
    MISSING = "missing in Rivven"
    ACTIVE = "has active members"
    BAD_NAME = "name not allowed in Rivven"


DONE = frozenset({Move.MOVED, Move.SAME, Move.KEPT})
"""Where nothing is left to be done."""


def unsettled_note(group: str) -> str:
    """Why nothing is done for a group whose offsets Kafka does not tell."""
    return (
        f"group {group!r}: Kafka does not tell its offsets now: a transaction is open, or its coordinator is "
        f"moving: try again"
    )


@dataclass
class GroupPosition:
    """The position of a group in one Rivven partition.

    Attributes:
        group: The Kafka group.
        to_group: The Rivven group.
        kafka: The committed offsets it is made of, as (topic, partition, offset).
        rivven_topic: Rivven topic.
        rivven_partition: Its partition.
        now: What the Rivven group has committed; None if nothing.
        offset: The position that means the same as the Kafka offsets.
        status: How good that is.
        again: Records that the group has read in Kafka and that come again.
        move: What becomes of it.
    """

    group: str
    to_group: str
    kafka: list[tuple[str, int, int]]
    rivven_topic: str
    rivven_partition: int
    now: int | None
    offset: int
    status: Status
    again: int
    move: Move


@dataclass
class Migration:
    """What has become of the groups.

    Attributes:
        source: Name of the source.
        positions: One for each group and Rivven partition.
        applied: Whether anything was to be written.
        absent: Kafka topics in which groups have positions, and whose Rivven topic does not exist.
        unknown: Groups that were named, and have committed nothing in Kafka.
        unsettled: Groups whose offsets Kafka does not tell: a transaction is open, or a coordinator moves.
        notes: What to know about it.
    """

    source: str
    positions: list[GroupPosition] = field(default_factory=list)
    applied: bool = False
    absent: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    unsettled: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def left(self) -> int:
        """Positions that are still to be moved, topics that are not there yet, and groups without one."""
        moving = sum(position.move not in DONE for position in self.positions)
        return moving + len(self.absent) + len(self.unknown) + len(self.unsettled)

    def to_dict(self) -> dict[str, Any]:
        """The report in the types of JSON."""
        return asdict(self)


@dataclass
class GroupReturn:
    """The position of a group in one Kafka partition, made of those in Rivven.

    Attributes:
        group: The group.
        rivven: The committed offsets it is made of, as (topic, partition, offset).
        kafka_topic: Kafka topic.
        kafka_partition: Its partition.
        now: What the group has committed in Kafka; None if nothing.
        offset: The lowest Kafka offset that the group has not read in Rivven.
        status: How good that is; `MISSING` if the record there is not in Rivven.
        again: Records that the group has read in Rivven and that come again.
        move: What becomes of it.
    """

    group: str
    rivven: list[tuple[str, int, int]]
    kafka_topic: str
    kafka_partition: int
    now: int | None
    offset: int
    status: Status
    again: int
    move: Move


@dataclass
class Return:
    """What has become of the groups that go back.

    Attributes:
        source: Name of the source.
        positions: One for each group and Kafka partition.
        applied: Whether anything was to be written.
        unknown: Groups that were named, and have committed nothing in Rivven.
        unsettled: Groups whose offsets Kafka does not tell: a transaction is open, or a coordinator moves.
        notes: What to know about it.
    """

    source: str
    positions: list[GroupReturn] = field(default_factory=list)
    applied: bool = False
    unknown: list[str] = field(default_factory=list)
    unsettled: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def left(self) -> int:
        """Positions that are still to be moved, and groups without one."""
        moving = sum(at.move not in DONE for at in self.positions)
        return moving + len(self.unknown) + len(self.unsettled)

    def to_dict(self) -> dict[str, Any]:
        """The report in the types of JSON."""
        return asdict(self)

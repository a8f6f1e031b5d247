"""What a comparison has found."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from rivven_kafka.reading.rivven_log import OffsetRange

SHOWN_RANGES = 5
"""Ranges of missing offsets that are kept for each partition; the count is always exact."""


@dataclass
class PartitionReport:
    """One Kafka partition, in records.

    Attributes:
        topic: Kafka topic.
        partition: Its partition.
        destination: The Rivven topic.
        records: All that Kafka held at the start.
        present: Those before the committed offset that Rivven has.
        missing: Those before the committed offset that Rivven lacks.
        missing_ranges: The first ranges of missing offsets, both ends included.
        more_ranges: How many ranges there are besides.
        doubled: Copies in Rivven beyond the first.
        left_out: Missing by right: a filter or `on_tombstone` leaves them out.
        bad: Missing because they cannot be converted, or are too large.
        before_start: Missing before the first that was ever copied, with `start_offset: latest`.
        undecided: Missing, perhaps by right: `start_offset` is latest, and nothing of the partition is there.
        not_copied: At or beyond the committed offset, and not in Rivven: the source will copy them.
    """

    topic: str
    partition: int
    destination: str
    records: int = 0
    present: int = 0
    missing: int = 0
    missing_ranges: list[tuple[int, int]] = field(default_factory=list)
    more_ranges: int = 0
    doubled: int = 0
    left_out: int = 0
    bad: int = 0
    before_start: int = 0
    undecided: int = 0
    not_copied: int = 0
    _last_missing: int | None = None

    def add_missing(self, count: int, ranges: list[tuple[int, int]]) -> None:
        """Counts missing records, and keeps their ranges as long as there is room."""
        self.missing += count
        for first, last in ranges:
            joins = self._last_missing == first - 1
            self._last_missing = last
            if not joins and len(self.missing_ranges) == SHOWN_RANGES:
                self.more_ranges += 1
            elif not joins:
                self.missing_ranges.append((first, last))
            elif not self.more_ranges:
                self.missing_ranges[-1] = (self.missing_ranges[-1][0], last)


@dataclass
class Report:
    """The whole comparison.

    Attributes:
        source: Name of the source.
        partitions: One for each Kafka partition.
        unreadable: What cannot be read in Rivven: answers jump over it, or hold nothing.
        beyond_end: First offset behind the end of a Rivven log at which it holds a record all the same.
        foreign: Records in Rivven that come from none of the Kafka records, by Rivven topic.
        published: Records published by the repair; None for a comparison alone.
        notes: What to know about the numbers.
    """

    source: str
    partitions: list[PartitionReport] = field(default_factory=list)
    unreadable: list[OffsetRange] = field(default_factory=list)
    beyond_end: list[OffsetRange] = field(default_factory=list)
    foreign: dict[str, int] = field(default_factory=dict)
    published: int | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def missing(self) -> int:
        """Missing records of all partitions, before the repair."""
        return sum(partition.missing for partition in self.partitions)

    @property
    def undecided(self) -> int:
        """Records of all partitions of which nobody knows whether they are missing."""
        return sum(partition.undecided for partition in self.partitions)

    def to_dict(self) -> dict[str, Any]:
        """The report in the types of JSON."""
        partitions = [
            {name: value for name, value in asdict(one).items() if not name.startswith("_")}
            for one in self.partitions
        ]
        return asdict(self) | {"partitions": partitions}

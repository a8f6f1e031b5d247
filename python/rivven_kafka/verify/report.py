"""What a verification has found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from rivven_kafka.reading.rivven_log import OffsetRange
from rivven_kafka.verify.shown import shown

Header = tuple[bytes, bytes | None]


@dataclass(frozen=True)
class RecordCopy:
    """A record as one side has it.

    Attributes:
        partition: Kafka partition, or Rivven partition.
        offset: Its offset there.
        timestamp: Kafka's timestamp (ms since the epoch); None where it is not told, as in raw format.
        timestamp_type: 0 set by the producer, 1 set by Kafka; None where it is not told.
        key: Key.
        value: Kafka's value, None for a tombstone.
        headers: Kafka's headers, in order; empty where the source leaves them out.
    """

    partition: int
    offset: int
    timestamp: int | None
    timestamp_type: int | None
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...] = ()

    def to_dict(self, *, values: bool, around: int = 0) -> dict[str, Any]:
        """In the types of JSON, with key and value shortened; `values` tells whether to show them at all."""
        place: dict[str, Any] = {"partition": self.partition, "offset": self.offset}
        place |= {"timestamp": self.timestamp, "timestamp_type": self.timestamp_type}
        place |= {"key_bytes": _length(self.key), "value_bytes": _length(self.value)}
        if values:
            place |= {"key": shown(self.key), "value": shown(self.value, around)}
            place |= {"headers": [[shown(name), shown(value)] for name, value in self.headers]}
        return place


def _length(data: bytes | None) -> int | None:
    return None if data is None else len(data)


@dataclass(frozen=True)
class Difference:
    """The first record of a Kafka partition that is not the same on both sides.

    Attributes:
        kind: `missing`: Rivven lacks it. `extra`: only Rivven has it. `doubled`: Rivven has it again.
            `out_of_order`: it stands behind a later one. `misplaced`: it is in a Rivven partition of another
            number, against `partitioning: preserve`. `swapped` (raw format): it has changed places with
            another one. `altered`: its contents differ.
        offset: Its Kafka offset, None for one that Kafka does not have.
        text: What is wrong, in words.
        fields: What differs, of an altered record.
        kafka: What Kafka has.
        rivven: What Rivven has.
    """

    kind: str
    offset: int | None
    text: str
    fields: tuple[str, ...] = ()
    kafka: RecordCopy | None = None
    rivven: RecordCopy | None = None

    @property
    def around(self) -> int:
        """The first byte in which the values differ, 0 if they do not."""
        if self.kafka is None or self.rivven is None:
            return 0
        pairs = zip(self.kafka.value or b"", self.rivven.value or b"", strict=False)
        return next((index for index, (one, other) in enumerate(pairs) if one != other), 0)

    def to_dict(self, *, values: bool) -> dict[str, Any]:
        """In the types of JSON, keys and values shortened."""
        sides = {
            side: None if copy is None else copy.to_dict(values=values, around=self.around)
            for side, copy in (("kafka", self.kafka), ("rivven", self.rivven))
        }
        return {
            "kind": self.kind,
            "offset": self.offset,
            "text": self.text,
            "fields": list(self.fields),
        } | sides


@dataclass
class PartitionResult:
    """One Kafka partition, compared from `start` to before `end`; counts are of records.

    Attributes:
        topic: Kafka topic.
        partition: Its partition.
        destination: The Rivven topic.
        start: First Kafka offset that is compared.
        end: The one behind the last.
        records_kafka: Records that the source publishes.
        records_rivven: Records of them in Rivven, copies included.
        digest_kafka: Digest of Kafka's records, in hexadecimal digits.
        digest_rivven: That of the first copies in Rivven.
        missing: Those that Rivven lacks; None in raw format, which tells only the first difference.
        extra: Those that only Rivven has; None in raw format.
        doubled: Copies in Rivven beyond the first; None in raw format.
        out_of_order: Those that stand behind later ones, against the source's `ordering`; None in raw format.
        misplaced: Those in a Rivven partition of another number, against `preserve`; None in raw format.
        left_out: Missing by right: a filter or `on_tombstone` leaves them out.
        bad: Missing because they cannot be converted, or are too large.
        compacted_away: Those that Rivven has and that Kafka's compaction has removed since.
        undecided: Offsets that cannot be compared, so that nothing is proved of them.
        first_difference: The first record that differs.
    """

    topic: str
    partition: int
    destination: str
    start: int
    end: int
    records_kafka: int = 0
    records_rivven: int = 0
    digest_kafka: str = ""
    digest_rivven: str = ""
    missing: int | None = 0
    extra: int | None = 0
    doubled: int | None = 0
    out_of_order: int | None = 0
    misplaced: int | None = 0
    left_out: int = 0
    bad: int = 0
    compacted_away: int = 0
    undecided: int = 0
    first_difference: Difference | None = None

    @property
    def equal(self) -> bool:
        """Whether both sides are proved to be the same."""
        wrong = self.missing, self.extra, self.doubled, self.out_of_order, self.misplaced, self.undecided
        same = self.digest_kafka == self.digest_rivven and self.first_difference is None
        return same and not any(wrong)

    def set_counts(self, counts: Mapping[str, int]) -> None:
        """Sets the attributes of these names."""
        for name, count in counts.items():
            setattr(self, name, count)

    def to_dict(self, *, values: bool) -> dict[str, Any]:
        """The result in the types of JSON."""
        first = self.first_difference
        return asdict(self) | {
            "equal": self.equal,
            "first_difference": None if first is None else first.to_dict(values=values),
        }


@dataclass
class VerifyReport:
    """The whole comparison.

    Attributes:
        source: Name of the source.
        partitions: One for each Kafka partition.
        unreadable: What cannot be read in Rivven: answers jump over it, or hold nothing.
        beyond_end: First offset behind the end of a Rivven log at which it holds a record all the same.
        foreign: Records in Rivven that are no events of these Kafka topics, by Rivven topic.
        notes: What to know about the numbers.
    """

    source: str
    partitions: list[PartitionResult] = field(default_factory=list)
    unreadable: list[OffsetRange] = field(default_factory=list)
    beyond_end: list[OffsetRange] = field(default_factory=list)
    foreign: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        """Whether all is proved to be the same on both sides, and all of Rivven could be read."""
        proved = bool(self.partitions) and all(one.equal for one in self.partitions)
        return proved and not self.unreadable and not self.beyond_end

    def to_dict(self, *, values: bool = True) -> dict[str, Any]:
        """The report in the types of JSON; without `values`, it shows nothing of the records' contents."""
        return {"source": self.source, "equal": self.equal} | {
            "partitions": [one.to_dict(values=values) for one in self.partitions],
            "unreadable": [asdict(one) for one in self.unreadable],
            "beyond_end": [asdict(one) for one in self.beyond_end],
            "foreign": self.foreign,
            "notes": self.notes,
        }

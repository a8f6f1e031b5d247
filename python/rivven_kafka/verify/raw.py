"""The comparison of raw values, which carry no position: the n-th record with the n-th of the other side."""

from __future__ import annotations

import threading
from array import array
from bisect import bisect_left
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, replace

from rivven_kafka._native import RawComparison, RawStart, RecordBlock
from rivven_kafka.config import OnTombstone, SourceEntry, StartOffset, transforms_json
from rivven_kafka.kafka.group_state import PartitionState
from rivven_kafka.reading.kafka_log import Place, cut
from rivven_kafka.reading.rivven_log import LogReader, OffsetRange
from rivven_kafka.verify.kafka_side import KafkaSide
from rivven_kafka.verify.ranges import Range
from rivven_kafka.verify.report import Difference, PartitionResult, RecordCopy
from rivven_kafka.verify.tasks import Meter, go_on, run_jobs

_MOST_AHEAD = 50_000
"""Records that one side may be ahead of the other (32 bytes each)."""
_WAIT_S = 0.05
_MOST_TRIES = 5
"""How often a comparison is begun again at most, because Kafka has deleted its first records."""


class _Enough(Exception):
    """Nothing more has to be read."""


class _Moved(Exception):
    """Kafka has deleted records since it was counted where they are in Rivven.

    Args:
        start: The first offset that it still has.
    """

    def __init__(self, start: int) -> None:
        super().__init__(start)
        self.start = start


@dataclass(frozen=True)
class _Beginning:
    """Where a range begins in Rivven.

    Attributes:
        before: Records of Rivven that lie before it, of those from `first` on.
        first: The Rivven offset from which on it is read; None reads all.
        offsets: The first Kafka offset, and later ones; none if what Kafka deletes does not matter.
        records: How many records that the source publishes lie between the first and each of them.
    """

    before: int
    first: int | None
    offsets: array[int]
    records: array[int]

    def behind(self, start: int) -> tuple[int, _Beginning] | None:
        """The first known offset that is not before `start`, and where it is; None if there is none."""
        at = bisect_left(self.offsets, start)
        if self.first is None or at == len(self.offsets):
            return None
        first, rest = (
            self.first + self.records[at],
            array("q", (n - self.records[at] for n in self.records[at:])),
        )
        return self.offsets[at], _Beginning(0, first, self.offsets[at:], rest)


class RawComparer:
    """Compares the Kafka partitions of a source with the Rivven partitions of the same numbers.

    Args:
        entry: The source.
        kafka: Reads Kafka.
        open_reader: Makes another reader of Rivven.
        states: How the Kafka partitions stand.
    """

    def __init__(
        self,
        entry: SourceEntry,
        kafka: KafkaSide,
        open_reader: Callable[[], LogReader],
        states: Mapping[Place, PartitionState],
    ) -> None:
        self._entry = entry
        self._kafka = kafka
        self._open_reader = open_reader
        self._states = states

    def is_sought(self, place: Place) -> bool:
        """Whether Kafka does not tell any more how many records Rivven has from before a range."""
        return self._entry.config.start_offset is StartOffset.LATEST or self._states[place].start > 0

    def rivven_ends(self, places: Mapping[Place, Range], reader: LogReader) -> dict[Place, int | None]:
        """The present ends of the Rivven partitions, None for those that do not exist."""
        ends: dict[Place, int | None] = {}
        for topic, number in places:
            destination = self._entry.destination(topic)
            there = number < (reader.partition_count(destination) or 0)
            ends[topic, number] = reader.bounds(destination, number)[1] if there else None
        return ends

    def compare(
        self,
        place: Place,
        found: Range,
        kafka_end: int,
        rivven_end: int | None,
        stop: threading.Event,
        meter: Meter,
    ) -> tuple[PartitionResult, list[OffsetRange]]:
        """Compares a partition.

        Args:
            place: Kafka topic and partition.
            found: What is compared.
            kafka_end: The end of the Kafka partition; what lies before it may be in Rivven.
            rivven_end: The end of the Rivven partition.
            stop: Set when the work is to be given up.
            meter: Counts the records.

        Returns:
            What was found, and what cannot be read in Rivven.
        """
        begins = _Beginning(0, None, array("q"), array("q"))
        if (found.start == found.end and found.undecided) or rivven_end is None:
            return self._compare(place, found, kafka_end, rivven_end, begins, stop, meter)
        begins, wanted = self._begin(place, found, kafka_end, rivven_end, stop, meter), found
        for _ in range(_MOST_TRIES):
            try:
                return self._compare(place, found, kafka_end, rivven_end, begins, stop, meter)
            except _Moved as moved:
                start, end = moved.start, wanted.end
                if start >= end > wanted.start:
                    break
                known = begins.behind(start)
                if known is not None and (known[0] < end or end == wanted.start):
                    # Counting again takes time, in which Kafka deletes more.
                    start, begins = known
                    found = replace(found, start=start, end=max(start, end))
                else:
                    found = replace(found, start=start, end=max(start, end))
                    begins = self._begin(place, found, kafka_end, rivven_end, stop, meter)
        # Nothing is left that could be compared.
        lost = max(1, wanted.end - wanted.start)
        found = replace(wanted, start=wanted.end, undecided=wanted.undecided + lost)
        return self._compare(place, found, kafka_end, rivven_end, begins, stop, meter)

    def _compare(
        self,
        place: Place,
        found: Range,
        kafka_end: int,
        rivven_end: int | None,
        begins: _Beginning,
        stop: threading.Event,
        meter: Meter,
    ) -> tuple[PartitionResult, list[OffsetRange]]:
        """Compares a range from where it begins.

        Raises:
            _Moved: Kafka has deleted its first records.
        """
        destination = self._entry.destination(place[0])
        # What a range leaves out that ends before what is copied for sure is not to be looked at.
        beyond = found.end >= min(kafka_end, self._states[place].committed or 0)
        comparison = self._comparison(destination, found.end, begins.before, beyond=beyond)
        unreadable: list[OffsetRange] = []
        turn = threading.Condition()
        rivven_done = threading.Event()

        def wait_for_other(side: int, gone: threading.Event) -> None:
            with turn:
                while _ahead(comparison.waiting(), side) > _MOST_AHEAD and not rivven_done.is_set():
                    go_on(stop, gone)
                    turn.wait(_WAIT_S)
                turn.notify_all()
            go_on(stop, gone)

        def read_kafka(gone: threading.Event) -> None:
            head = next(iter(begins.offsets), None)
            for block in self._kafka.read({place: (found.start, kafka_end)}):
                if head is not None and block.first_offset is not None:
                    if block.first_offset > head:
                        raise _Moved(block.first_offset)
                    head = None
                wait_for_other(0, gone)
                comparison.feed_kafka(block)
                meter.add(kafka=len(block))
                # Behind the range, only what Rivven has matters.
                rest = block.next_offset >= found.end
                if comparison.done or (rest and rivven_done.is_set() and not comparison.waiting()[1]):
                    break
            comparison.finish_kafka()

        def read_rivven(gone: threading.Event) -> None:
            try:
                if rivven_end is not None:

                    def take(block: RecordBlock) -> None:
                        wait_for_other(1, gone)
                        # What has come since belongs to records of Kafka that are not read.
                        comparison.feed_rivven(cut(block, rivven_end)[0])
                        if comparison.done:
                            raise _Enough
                        meter.add(rivven=len(block))

                    with closing(self._open_reader()) as reader, suppress(_Enough):
                        unreadable.extend(reader.read(destination, place[1], take, begins.first, rivven_end))
                # First, so that who sees the event finds what waits.
                comparison.finish_rivven()
            finally:
                rivven_done.set()

        if found.start < found.end or not found.undecided:
            run_jobs([read_kafka, read_rivven], 2)
        return self._result(place, found, destination, comparison), unreadable

    def _comparison(self, destination: str, end: int, skip: int, *, beyond: bool = True) -> RawComparison:
        return RawComparison(
            destination,
            end,
            beyond=beyond,
            skip=skip,
            on_tombstone=self._on_tombstone(),
            transforms=transforms_json(self._entry.transforms),
        )

    def _on_tombstone(self) -> str:
        tombstone = self._entry.config.on_tombstone
        return "fail" if tombstone is OnTombstone.DEAD_LETTER else tombstone

    def _begin(
        self,
        place: Place,
        found: Range,
        kafka_end: int,
        rivven_end: int,
        stop: threading.Event,
        meter: Meter,
    ) -> _Beginning:
        """Where a range begins in Rivven."""
        offsets, records = array("q"), array("q")
        if not self.is_sought(place):
            return _Beginning(self._records_before(place, found.start, stop), None, offsets, records)
        destination = self._entry.destination(place[0])
        committed = self._states[place].committed
        sought = RawStart(
            destination,
            found.end,
            # Without one, the range is what the source has copied for sure, or it differs.
            found.end if committed is None else committed,
            on_tombstone=self._on_tombstone(),
            transforms=transforms_json(self._entry.transforms),
        )
        for block in self._kafka.read({place: (found.start, kafka_end)}):
            go_on(stop)
            if block.first_offset is not None:
                offsets.append(block.first_offset)
                records.append(sought.records)
            sought.feed_kafka(block)
            meter.tell(
                f"looking where {place[0]}:{place[1]} begins in Rivven: at Kafka offset {block.next_offset}"
            )
            if sought.enough:
                break

        def take(block: RecordBlock) -> None:
            go_on(stop)
            sought.feed_rivven(block)

        first, end = sought.finish_kafka(rivven_end)
        with closing(self._open_reader()) as reader:
            reader.read(destination, place[1], take, max(0, first), min(end, rivven_end))
        return _Beginning(0, sought.place(), offsets, records)

    def _records_before(self, place: Place, start: int, stop: threading.Event) -> int:
        """How many records the source publishes from before an offset."""
        if start == 0:
            return 0
        destination, records = self._entry.destination(place[0]), 0
        for block in self._kafka.read({place: (0, start)}):
            go_on(stop)
            # One for each block, as it keeps what it is given.
            counted = self._comparison(destination, start, 0)
            counted.feed_kafka(block)
            records += counted.counts()["records_kafka"]
        return records

    def _result(
        self, place: Place, found: Range, destination: str, comparison: RawComparison
    ) -> PartitionResult:
        digest_kafka, digest_rivven = comparison.digests()
        result = PartitionResult(
            *place,
            destination,
            found.start,
            found.end,
            digest_kafka=digest_kafka,
            digest_rivven=digest_rivven,
            missing=None,
            extra=None,
            doubled=None,
            out_of_order=None,
            misplaced=None,
            undecided=found.undecided,
        )
        result.set_counts(comparison.counts())
        first = comparison.first()
        if first is not None:
            result.first_difference = self._about(place, destination, *first)
        return result

    def _about(
        self, place: Place, destination: str, kind: str, offset: int | None, at: int | None
    ) -> Difference:
        kafka = None if offset is None else self._kafka_copy(place, offset)
        rivven = None if at is None else self._rivven_copy(destination, place[1], at)
        fields: tuple[str, ...] = ()
        if kafka is not None and rivven is not None:
            pairs = (("key", kafka.key, rivven.key), ("value", kafka.value or b"", rivven.value))
            fields = tuple(name for name, one, other in pairs if one != other)
        here = f"Kafka offset {offset}" if offset is not None else "the end of Kafka"
        there = f"Rivven {place[1]}:{at}" if at is not None else "the end of Rivven"
        texts = {
            "missing": f"Rivven lacks {here}; {there} is in its place",
            "extra": f"Rivven has one record more at {there}, before {here}",
            "doubled": f"Rivven has the record before {there} again, before {here}",
            "swapped": f"{here} has changed places with another record; {there} is in its place",
            "altered": f"{here} and {there} differ in {' and '.join(fields)}",
        }
        return Difference(kind, offset, texts[kind], fields if kind == "altered" else (), kafka, rivven)

    def _kafka_copy(self, place: Place, offset: int) -> RecordCopy | None:
        block = self._kafka.record(place, offset)
        if block is None:
            return None
        _, timestamp, kind, key, value, _ = block.record(0)
        return RecordCopy(place[1], offset, timestamp, kind, key, value)

    def _rivven_copy(self, destination: str, partition: int, at: int) -> RecordCopy | None:
        with closing(self._open_reader()) as reader:
            block = reader.record(destination, partition, at)
        if block is None:
            return None
        [key], [value] = block.slice(0, 1).keys(), block.slice(0, 1).values()
        return RecordCopy(partition, at, None, None, key, value)


def _ahead(waiting: tuple[int, int], side: int) -> int:
    return waiting[side] - waiting[1 - side]

"""The comparison of events, which tell the Kafka record that they come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rivven_kafka._native import RecordBlock, VerifyIndex
from rivven_kafka.config import SourceEntry, transforms_json
from rivven_kafka.reading.kafka_log import Place, cut
from rivven_kafka.reading.rivven_log import LogReader
from rivven_kafka.verify.kafka_side import KafkaSide
from rivven_kafka.verify.ranges import Range
from rivven_kafka.verify.report import Difference, PartitionResult, RecordCopy

_FIELDS = ("timestamp", "timestamp type", "key", "value", "headers")


class EventComparison:
    """One Rivven topic, and the Kafka partitions that go there.

    Args:
        entry: The source.
        destination: The Rivven topic.
        ranges: What is compared.
        others: Partitions that go there, too, and are not compared.
        ids: Ids of the Kafka topics, where they are known.
        compacted: The Kafka topics that are compacted: their records are read first.
        protection: What the source marks its records with, see `source_protection`.
    """

    def __init__(
        self,
        entry: SourceEntry,
        destination: str,
        ranges: Mapping[Place, Range],
        others: Iterable[Place],
        ids: Mapping[str, str | None],
        compacted: set[str],
        protection: Mapping[str, Any],
    ) -> None:
        config = entry.config
        self.destination = destination
        self.ranges = ranges
        self.index = VerifyIndex(
            destination,
            [
                *((*place, found.start, found.end, place[0] in compacted) for place, found in ranges.items()),
                *((*place, 0, 0, False) for place in others),
            ],
            ids,
            ordering=config.ordering,
            partitioning=config.partitioning,
            transforms=transforms_json(entry.transforms),
            include_headers=config.include_headers,
            include_key=config.include_key,
            **protection,
        )

    def result(self, place: Place, kafka: KafkaSide, reader: LogReader) -> PartitionResult:
        """What was found in a partition; reads the first record that differs again, from both sides."""
        found = self.ranges[place]
        digest_kafka, digest_rivven = self.index.digests(*place)
        result = PartitionResult(
            *place,
            self.destination,
            found.start,
            found.end,
            digest_kafka=digest_kafka,
            digest_rivven=digest_rivven,
        )
        result.set_counts(self.index.counts(*place))
        if not result.equal:
            result.first_difference = _Locator(self, place, kafka, reader).first()
        result.undecided = found.undecided
        return result


class _Locator:
    """Finds the first record of a partition that differs.

    Which are missing, doubled or out of order is known; of altered ones, only the segment, whose records are
    read again.
    """

    def __init__(
        self, comparison: EventComparison, place: Place, kafka: KafkaSide, reader: LogReader
    ) -> None:
        self._index = comparison.index
        self._destination = comparison.destination
        self._range = comparison.ranges[place]
        self._place = place
        self._kafka = kafka
        self._reader = reader

    def first(self) -> Difference | None:
        index, place = self._index, self._place
        missing, extra = index.lowest(*place)
        doubled, late = index.first_doubled(*place), index.first_out_of_order(*place)
        misplaced = index.first_misplaced(*place)
        known = [missing, extra, doubled and doubled[0], late and late[0][0], misplaced and misplaced[0]]
        lowest = min((offset for offset in known if offset is not None), default=None)
        altered = self._altered(lowest)
        if altered is not None:
            return self._about_altered(*altered)
        if lowest is None:
            return Difference("altered", None, "the digests differ, but no more when records are read again")
        if lowest == missing:
            return self._about_missing(lowest)
        if lowest == extra:
            return self._about_extra(lowest)
        if doubled is not None and lowest == doubled[0]:
            return self._about_doubled(*doubled)
        if misplaced is not None and lowest == misplaced[0]:
            return self._about_misplaced(*misplaced)
        assert late is not None
        return self._about_late(late[0], late[1])

    def _altered(self, before: int | None) -> tuple[int, int, int] | None:
        """The first altered record before an offset: its offset, and where it is in Rivven."""
        for segment in self._index.differing(*self._place):
            if before is not None and segment * VerifyIndex.SEGMENT > before:
                break
            kafka, rivven = self._kafka_segment(segment), self._rivven_segment(segment)
            for offset in sorted(kafka.keys() & rivven.keys()):
                digest, partition, at = rivven[offset]
                if kafka[offset] != digest:
                    return (offset, partition, at) if before is None or offset < before else None
        return None

    def _kafka_segment(self, segment: int) -> dict[int, str]:
        """Digests of Kafka's records in a segment, by offset."""
        start = max(segment * VerifyIndex.SEGMENT, self._range.start)
        end = min((segment + 1) * VerifyIndex.SEGMENT, self._range.end)
        return {
            offset: digest
            for block in self._kafka.read({self._place: (start, end)})
            for _, offset, digest in self._index.kafka_digests(cut(cut(block, end)[0], start)[1])
        }

    def _rivven_segment(self, segment: int) -> dict[int, tuple[str, int, int]]:
        """Digests of the first copies of a segment's events, and where they are, by Kafka offset."""
        found: dict[int, tuple[str, int, int]] = {}
        for partition, first, last in self._index.stretches(*self._place, segment):

            def take(block: RecordBlock, partition: int = partition) -> None:
                offsets = block.offsets()
                for number, offset, digest in self._index.rivven_digests(block, *self._place):
                    if offset // VerifyIndex.SEGMENT == segment:
                        found.setdefault(offset, (digest, partition, offsets[number]))

            self._reader.read(self._destination, partition, take, first, last + 1)
        return found

    def _kafka_copy(self, offset: int) -> RecordCopy | None:
        block = self._kafka.record(self._place, offset)
        if block is None:
            return None
        timestamp, kind, key, value, headers, _ = self._index.expected(block, 0)
        return RecordCopy(self._place[1], offset, timestamp, kind, key, value, tuple(headers))

    def _rivven_copy(self, partition: int, at: int) -> tuple[RecordCopy | None, str | None]:
        """A record of Rivven, and the field of its event that contradicts the others."""
        block = self._reader.record(self._destination, partition, at)
        if block is None:
            return None, None
        timestamp, kind, key, value, headers, flaw = self._index.stored(block, 0)
        return RecordCopy(partition, at, timestamp, kind, key, value, tuple(headers)), flaw

    def _about_altered(self, offset: int, partition: int, at: int) -> Difference:
        kafka, (rivven, flaw) = self._kafka_copy(offset), self._rivven_copy(partition, at)
        fields: tuple[str, ...] = () if flaw is None else (flaw,)
        if kafka is not None and rivven is not None and flaw != "event":
            pairs = zip(_FIELDS, _contents(kafka), _contents(rivven), strict=True)
            fields = tuple(name for name, one, other in pairs if one != other) + fields
        what = "what is there is no event" if flaw == "event" else f"{_differ(fields)}"
        text = f"offset {offset} is altered at Rivven {partition}:{at}: {what}"
        return Difference("altered", offset, text, fields, kafka, rivven)

    def _about_missing(self, offset: int) -> Difference:
        segment = self._rivven_segment(offset // VerifyIndex.SEGMENT)
        behind = min((other for other in segment if other > offset), default=None)
        text = f"Rivven lacks offset {offset}"
        if behind is not None:
            _, partition, at = segment[behind]
            text += f"; offset {behind} is there, at {partition}:{at}"
        return Difference("missing", offset, text, kafka=self._kafka_copy(offset))

    def _about_extra(self, offset: int) -> Difference:
        rivven = None
        segment = self._rivven_segment(offset // VerifyIndex.SEGMENT)
        left_out = self._index.leaves_out(*self._place, offset)
        reason = "the source leaves out" if left_out else "Kafka does not have"
        text = f"Rivven has offset {offset}, which {reason}"
        if offset in segment:
            _, partition, at = segment[offset]
            rivven, _ = self._rivven_copy(partition, at)
            text += f", at {partition}:{at}"
        return Difference("extra", offset, text, rivven=rivven)

    def _about_doubled(self, offset: int, partition: int, at: int) -> Difference:
        segment = self._rivven_segment(offset // VerifyIndex.SEGMENT)
        text = f"Rivven has offset {offset} again at {partition}:{at}"
        if offset in segment:
            text += f"; its first copy is at {segment[offset][1]}:{segment[offset][2]}"
        rivven, _ = self._rivven_copy(partition, at)
        return Difference("doubled", offset, text, (), self._kafka_copy(offset), rivven)

    def _about_misplaced(self, offset: int, partition: int, at: int) -> Difference:
        text = (
            f"offset {offset} is in the wrong partition, at Rivven {partition}:{at}: with partitioning "
            f"preserve it belongs in {self._place[1]}"
        )
        rivven, _ = self._rivven_copy(partition, at)
        return Difference("misplaced", offset, text, (), self._kafka_copy(offset), rivven)

    def _about_late(self, seen: tuple[int, int, int], before: int) -> Difference:
        offset, partition, at = seen
        text = f"offset {offset} stands behind offset {before}, at Rivven {partition}:{at}"
        rivven, _ = self._rivven_copy(partition, at)
        return Difference("out_of_order", offset, text, (), self._kafka_copy(offset), rivven)


def _differ(fields: tuple[str, ...]) -> str:
    return f"its {' and '.join(fields)} {'differs' if len(fields) == 1 else 'differ'}"


def _contents(copy: RecordCopy) -> tuple[object, ...]:
    return copy.timestamp, copy.timestamp_type, copy.key, copy.value, copy.headers

"""Reading a part of Kafka's records, or all, and counting what they hold."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rivven_kafka._native import RecordBlock, Survey
from rivven_kafka.errors import RivvenKafkaError, TimeoutExpired
from rivven_kafka.kafka.inventory import TopicFacts
from rivven_kafka.reading.kafka_log import Place, cut, read_between

_KEPT_BYTES = 32 * 1024 * 1024
_KEPT_RECORDS = 20_000
"""Most that is kept for a probe that writes."""

_LEAST_SECONDS = 0.3
"""Shorter measurements tell nothing about a rate."""

_MEASURE_SECONDS = 2.0
"""Longest time to read on where the sample was too small for that."""

Stretch = tuple[int, int]
"""First offset, and end."""


@dataclass(frozen=True)
class SampleOptions:
    """How much is looked at.

    Attributes:
        full: Everything, however long it takes.
        seconds: Longest time to read, without `full` (s).
        stretch: Offsets of each of the three stretches of a partition: its end, its beginning, its middle.
    """

    full: bool = False
    seconds: float = 10.0
    stretch: int = 2_000


@dataclass
class TopicSample:
    """What was seen of a topic.

    Attributes:
        offsets: Offsets that it has.
        scanned: Those of them that were passed.
        unsettled: Those of them that are not looked at: they lie behind the beginning of an open transaction.
        density: Records per offset that was passed, by partition.
        counts: Totals of the `Survey`.
        examples: Its first records of each trouble.
        gaps: Offsets that were passed and hold no record for the source.
        aborted: Records of aborted transactions among what was passed.
        old_format: Records in the formats before Kafka 0.11.
        unreadable: Why reading had to stop, if it had to.
    """

    offsets: int = 0
    scanned: int = 0
    unsettled: int = 0
    density: dict[int, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[tuple[str, int, int, str]]] = field(default_factory=dict)
    gaps: int = 0
    aborted: int = 0
    old_format: int = 0
    unreadable: str | None = None

    @property
    def share(self) -> float:
        """The share of the offsets that was looked at."""
        return self.scanned / self.offsets if self.offsets else 1.0

    @property
    def complete(self) -> bool:
        """Whether everything was looked at."""
        return self.scanned == self.offsets

    def count(self, name: str) -> int:
        """A total of the survey."""
        return self.counts.get(name, 0)


@dataclass
class Sample:
    """What was seen of all topics.

    Attributes:
        topics: By name.
        kept: Some of the records, for a probe that writes.
        records_per_second: How fast they were read and encoded; None if there was too little to tell.
    """

    topics: dict[str, TopicSample] = field(default_factory=dict)
    kept: list[RecordBlock] = field(default_factory=list)
    records_per_second: float | None = None


def take_sample(
    facts: Mapping[str, TopicFacts],
    surveys: Mapping[str, Survey],
    consumer_options: Mapping[str, Any],
    options: SampleOptions,
    *,
    timeout_s: float,
    max_batch_bytes: int,
    progress: Callable[[str], None] = lambda _: None,
) -> Sample:
    """Reads and counts.

    Args:
        facts: The topics.
        surveys: What looks at the records, by topic.
        consumer_options: Options of the source's consumer.
        options: How much is read.
        timeout_s: Longest time without any progress (s).
        max_batch_bytes: Most bytes that one compressed batch may inflate to.
        progress: Told what is being done.
    """
    return _Sampling(facts, surveys, consumer_options, options, timeout_s, max_batch_bytes, progress).run()


class _Sampling:
    def __init__(
        self,
        facts: Mapping[str, TopicFacts],
        surveys: Mapping[str, Survey],
        consumer_options: Mapping[str, Any],
        options: SampleOptions,
        timeout_s: float,
        max_batch_bytes: int,
        progress: Callable[[str], None],
    ) -> None:
        self._surveys = surveys
        self._options = options
        self._consumer = consumer_options
        self._timeout_s = timeout_s if options.full else min(timeout_s, max(options.seconds, 1.0))
        self._max_batch_bytes = max_batch_bytes
        self._progress = progress
        self._deadline = float("inf") if options.full else time.monotonic() + options.seconds
        self._committed = consumer_options["isolation_level"] == "read_committed"
        # Under read_committed a reader would wait for an open transaction.
        self._spans: dict[Place, Stretch] = {
            (name, number): (each.start, each.stable_end if self._committed else each.end)
            for name, topic in facts.items()
            for number, each in enumerate(topic.partitions)
            if each.leader
        }
        self._stable = {
            (name, number): each.stable_end
            for name, topic in facts.items()
            for number, each in enumerate(topic.partitions)
        }
        self._sample = Sample({name: TopicSample() for name in facts})
        for name, topic in facts.items():
            found = self._sample.topics[name]
            found.offsets = sum(each.end - each.start for each in topic.partitions)
            spans = (self._spans.get((name, number), (0, 0)) for number in range(len(topic.partitions)))
            found.unsettled = found.offsets - sum(max(0, end - start) for start, end in spans)
        self._scanned: dict[Place, list[Stretch]] = {}
        self._records: dict[Place, int] = {}
        self._stable_records: dict[Place, int] = {}
        self._kept_bytes = 0
        self._room = dict.fromkeys(self._spans, max(1, _KEPT_RECORDS // max(1, len(self._spans))))
        self._read, self._read_s = 0, 0.0

    def run(self) -> Sample:
        for bounds in self._rounds():
            self._read_round(bounds)
        self._measure()
        self._look_for_aborted()
        for name, topic in self._sample.topics.items():
            topic.counts = self._surveys[name].totals()
            topic.examples = self._surveys[name].examples()
        for place, stretches in self._scanned.items():
            passed = sum(end - start for start, end in stretches)
            topic = self._sample.topics[place[0]]
            topic.scanned += passed
            records = self._records.get(place, 0)
            topic.gaps += passed - records
            if passed:
                topic.density[place[1]] = records / passed
        if self._read_s >= _LEAST_SECONDS:
            self._sample.records_per_second = self._read / self._read_s
        return self._sample

    def _rounds(self) -> Iterator[dict[Place, Stretch]]:
        """The end of each partition first, then its beginning and its middle; small ones at once."""
        spans = {place: span for place, span in self._spans.items() if span[0] < span[1]}
        most = self._options.stretch
        if self._options.full:
            yield spans
            return
        yield {
            place: (start if end - start <= 3 * most else end - most, end)
            for place, (start, end) in spans.items()
        }
        large = {place: (start, end) for place, (start, end) in spans.items() if end - start > 3 * most}
        yield {place: (start, start + most) for place, (start, _) in large.items()}
        yield {
            place: (middle, middle + most)
            for place, (start, end) in large.items()
            # Between the two others.
            for middle in [start + most + (end - start - 3 * most) // 2]
        }

    def _measure(self) -> None:
        """Reads on behind the beginnings, where the sample was too small to tell a rate."""
        if self._options.full or self._read_s >= _LEAST_SECONDS:
            return
        self._deadline = min(self._deadline, time.monotonic() + _MEASURE_SECONDS)
        most = self._options.stretch
        self._read_round(
            {
                place: (start + most, start + most + (end - start - 3 * most) // 2)
                for place, (start, end) in self._spans.items()
                if end - start > 3 * most + 1
            }
        )

    def _read_round(self, bounds: Mapping[Place, Stretch]) -> None:
        # A topic with a record that cannot be read takes nothing away from the others.
        left = {
            place: span
            for place, span in bounds.items()
            if self._sample.topics[place[0]].unreadable is None and time.monotonic() < self._deadline
        }
        total = sum(end - start for start, end in left.values())
        while left:
            try:
                self._read_until_error(left, total)
                return
            except RivvenKafkaError as error:
                name = error.topic or next(iter(left))[0]
                late = isinstance(error, TimeoutExpired)
                seen = any(place[0] == name for place in self._scanned)
                if self._options.full or not late or not seen:
                    self._sample.topics[name].unreadable = str(error)
                if late and time.monotonic() >= self._deadline:
                    return
                left = {
                    place: (self._passed(place, start), end)
                    for place, (start, end) in left.items()
                    if place[0] != name
                }

    def _passed(self, place: Place, start: int) -> int:
        """Where a stretch that began at `start` is to go on."""
        return next((end for begin, end in self._scanned.get(place, ()) if begin <= start < end), start)

    def _pass(self, place: Place, start: int, end: int) -> None:
        """Notes that a stretch was looked at."""
        stretches = self._scanned.setdefault(place, [])
        if stretches and stretches[-1][1] == start:
            start = stretches.pop()[0]
        stretches.append((start, end))

    def _read_until_error(self, bounds: Mapping[Place, Stretch], total: int) -> None:
        begun: float | None = None
        at = {place: start for place, (start, _) in bounds.items()}
        counted = 0
        for block in self._blocks(bounds, self._consumer):
            place = block.topic, block.partition
            self._surveys[block.topic].add(block)
            passed = min(max(block.next_offset, at[place]), bounds[place][1])
            self._pass(place, at[place], passed)
            at[place] = passed
            self._note(place, block)
            counted += len(block)
            self._progress(f"looking at Kafka, {counted} of about {total} records")
            now = time.monotonic()
            if begun is None:
                # What comes before the first block is the time to connect.
                begun = now
            else:
                self._read += len(block)
                self._read_s += now - begun
                begun = now
            if now > self._deadline:
                return

    def _note(self, place: Place, block: RecordBlock) -> None:
        self._records[place] = self._records.get(place, 0) + len(block)
        stable = len(cut(block, self._stable[place])[0])
        self._stable_records[place] = self._stable_records.get(place, 0) + stable
        if block.leader_epoch < 0:
            self._sample.topics[place[0]].old_format += len(block)
        part = block.slice(0, self._room[place])
        if len(part) and self._kept_bytes + part.size_bytes <= _KEPT_BYTES:
            # As many of each partition, so that all connections get some.
            self._sample.kept.append(part)
            self._kept_bytes += part.size_bytes
            self._room[place] -= len(part)

    def _look_for_aborted(self) -> None:
        """Reads what has gaps again, with the other isolation level: what differs was aborted."""
        passed = {
            place: stretches
            for place, stretches in self._scanned.items()
            if sum(end - start for start, end in stretches) > self._records.get(place, 0)
        }
        other = "read_uncommitted" if self._committed else "read_committed"
        consumer = {**self._consumer, "isolation_level": other}
        seen = dict.fromkeys(passed, 0)
        try:
            for index in range(max(map(len, passed.values()), default=0)):
                bounds = {
                    place: (start, min(end, self._stable[place]))
                    for place, stretches in passed.items()
                    for start, end in stretches[index : index + 1]
                }
                for block in self._blocks(bounds, consumer):
                    seen[block.topic, block.partition] += len(block)
        except RivvenKafkaError:
            return
        for place, count in seen.items():
            self._sample.topics[place[0]].aborted += abs(count - self._stable_records.get(place, 0))

    def _blocks(self, bounds: Mapping[Place, Stretch], consumer: Mapping[str, Any]) -> Iterator[RecordBlock]:
        return read_between(consumer, bounds, self._timeout_s, self._max_batch_bytes)

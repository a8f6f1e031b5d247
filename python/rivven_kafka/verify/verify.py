"""The verification of a source: Kafka and Rivven are read at once, by several threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import closing

from rivven_kafka._native import PositionIndex, RecordBlock
from rivven_kafka.config import (
    BrokerConfig,
    DeliveryGuarantee,
    Settings,
    SourceEntry,
    StartOffset,
    ValueFormat,
)
from rivven_kafka.errors import ConfigError
from rivven_kafka.kafka import BlockConsumer, admin_options
from rivven_kafka.kafka.group_state import PartitionState, partition_states, topic_ids
from rivven_kafka.pipeline.destination import by_destination
from rivven_kafka.pipeline.loop_protection import source_protection
from rivven_kafka.reading.comparable import require_events, require_pairs, require_positions
from rivven_kafka.reading.kafka_log import Place
from rivven_kafka.reading.patience import patiently
from rivven_kafka.reading.rivven_log import LogReader
from rivven_kafka.rivven.options import client_arguments
from rivven_kafka.source import consumer_options, find_topics
from rivven_kafka.verify.events import EventComparison
from rivven_kafka.verify.kafka_side import KafkaSide, compacted_topics
from rivven_kafka.verify.ranges import Range, Wanted, notes_on, range_of
from rivven_kafka.verify.raw import RawComparer
from rivven_kafka.verify.report import PartitionResult, VerifyReport
from rivven_kafka.verify.tasks import Job, Meter, go_on, run_jobs

_MOST_WORKERS = 8
"""Threads that read one side: beyond it they wait for each other."""


def verify_source(
    name: str,
    entry: SourceEntry,
    broker: BrokerConfig,
    settings: Settings,
    *,
    ends: Mapping[Place, int] | None = None,
    starts: Mapping[Place, int] | None = None,
    progress: Callable[[str], None] = lambda _: None,
    only: Collection[Place] | None = None,
    to_end: bool = False,
    due: Mapping[Place, int] | None = None,
) -> VerifyReport:
    """Compares what Kafka holds with what the source has written to Rivven, record by record.

    Nothing is written anywhere. The ranges of offsets are fixed at the start, so the source may be running.

    Args:
        name: Name of the source.
        entry: Its section.
        broker: How to reach Rivven.
        settings: What holds for all connectors of the file.
        ends: The offset behind the last that is compared, by Kafka topic and partition; for others, the
            committed one of the source's group.
        starts: The first offset that is compared; for others, the first that Kafka still has, or where a
            source with `start_offset: latest` began.
        progress: Told what is being done, also by other threads.
        only: The partitions to compare; all if None.
        to_end: Whether to compare up to the ends of Kafka's logs where `ends` names no other end.
        due: From where on up to `ends` something has to be left to compare, where it is known that Kafka had
            nothing before; else from the first offset that is compared.

    Returns:
        What was found; see `VerifyReport.equal`.

    Raises:
        ConfigError: The options of the source do not allow the comparison, or a range does not exist.
        RivvenKafkaError: A broker cannot be reached.
    """
    wanted = Wanted(starts or {}, ends or {}, to_end, due or {})
    return _Verification(name, entry, broker, settings, wanted, progress).run(only)


class _Verification:
    def __init__(
        self,
        name: str,
        entry: SourceEntry,
        broker: BrokerConfig,
        settings: Settings,
        wanted: Wanted,
        progress: Callable[[str], None],
    ) -> None:
        self._name = name
        self._entry = entry
        self._wanted = wanted
        self._progress = progress
        self._broker = broker
        self._arguments = client_arguments(broker, settings.retry, entry.config.client_id or name)
        self._options = consumer_options(entry.config, name)
        self._admin = admin_options(entry.config, name)
        self._kafka = KafkaSide(self._options, entry.config)
        self._report = VerifyReport(name)
        self._lock = threading.Lock()

    def run(self, only: Collection[Place] | None) -> VerifyReport:
        entry, config = self._entry, self._entry.config
        require_positions(self._name, entry)
        require_events(self._name, entry)
        require_pairs(self._name, entry, {})
        with closing(BlockConsumer({**self._options, "group_id": None})) as consumer:
            topics = find_topics(consumer, config)
        groups = by_destination(entry, topics)
        if not topics:
            self._report.notes.append(f"Kafka has none of {config.topics_text}: nothing is compared")
            return self._report
        require_pairs(self._name, entry, groups)
        # Before Rivven is read: what is committed by then has to be there.
        states = self._states(topics)
        chosen = self._chosen(states, only)
        ids = topic_ids(self._admin, topics)
        with closing(self._reader()) as reader:
            ranges = self._ranges(groups, chosen, ids, reader)
            self._report.notes += notes_on(config.consumer_group, ranges, chosen, self._wanted)
            if config.value_format is ValueFormat.RAW:
                self._compare_raw(chosen, ranges, reader)
            else:
                self._compare_events(groups, ranges, ids, reader)
            for destination in groups:
                for number in range(reader.partition_count(destination) or 0):
                    beyond = reader.beyond_end(destination, number)
                    self._report.beyond_end += [] if beyond is None else [beyond]
        self._explain(topics)
        return self._report

    def _explain(self, topics: Mapping[str, int]) -> None:
        """Notes what differs for a reason."""
        notes, partitions = self._report.notes, self._report.partitions
        if any(one.doubled for one in partitions) and not self._exactly_once():
            notes.append("delivery_guarantee is at_least_once: after a crash, records may come again")
        if all(one.equal for one in partitions):
            return
        states = self._states(topics)
        for one in partitions:
            start = states[one.topic, one.partition].start
            if one.start < start and not one.equal:
                notes.append(
                    f"Kafka has deleted {one.topic}:{one.partition} before {start} meanwhile: verify again"
                )

    def _states(self, topics: Mapping[str, int]) -> dict[Place, PartitionState]:
        config = self._entry.config
        return patiently(
            lambda: partition_states(self._admin, config.consumer_group, topics, str(config.isolation_level))
        )

    def _exactly_once(self) -> bool:
        return self._entry.config.delivery_guarantee is DeliveryGuarantee.EXACTLY_ONCE

    def _reader(self) -> LogReader:
        return LogReader(self._arguments, self._entry.config.max_in_flight_bytes // (2 * _MOST_WORKERS))

    def _chosen(
        self, states: dict[Place, PartitionState], only: Collection[Place] | None
    ) -> dict[Place, PartitionState]:
        for topic, number in {*(only or ()), *self._wanted.starts, *self._wanted.ends}:
            if (topic, number) not in states:
                raise ConfigError(
                    f"partition {topic}:{number} is not one of source {self._name!r}, which reads "
                    f"{self._entry.config.topics_text}"
                )
        return {place: state for place, state in states.items() if only is None or place in only}

    def _ranges(
        self,
        groups: Mapping[str, Mapping[str, int]],
        states: Mapping[Place, PartitionState],
        ids: Mapping[str, str | None],
        reader: LogReader,
    ) -> dict[Place, Range]:
        firsts: dict[Place, int | None] = dict.fromkeys(states, 0)
        if self._entry.config.start_offset is StartOffset.LATEST:
            firsts |= self._first_copied(groups, ids, reader)
        return {place: range_of(place, state, self._wanted, firsts[place]) for place, state in states.items()}

    def _first_copied(
        self,
        groups: Mapping[str, Mapping[str, int]],
        ids: Mapping[str, str | None],
        reader: LogReader,
    ) -> dict[Place, int | None]:
        """The first offset of each partition that Rivven has; raw values tell none."""
        found: dict[Place, int | None] = {}
        for destination, group in groups.items():
            places = [(topic, number) for topic, count in group.items() for number in range(count)]
            if self._entry.config.value_format is ValueFormat.RAW:
                found |= dict.fromkeys(places)
                continue
            self._progress(f"looking for the first record in Rivven {destination}")
            index = PositionIndex(destination, {topic: ids.get(topic) for topic in group})
            for number in range(reader.partition_count(destination) or 0):
                reader.read(destination, number, index.feed)
            found |= {place: index.lowest(*place) for place in places}
        return found

    def _compare_events(
        self,
        groups: Mapping[str, Mapping[str, int]],
        ranges: Mapping[Place, Range],
        ids: Mapping[str, str | None],
        reader: LogReader,
    ) -> None:
        compacted, note = compacted_topics(self._admin, {topic: 0 for topic, _ in ranges})
        self._report.notes += [] if note is None else [note]
        protection = source_protection(self._name, self._entry, self._broker)
        comparisons = {
            destination: EventComparison(
                self._entry,
                destination,
                {place: found for place, found in ranges.items() if place[0] in group},
                [
                    (topic, number)
                    for topic, count in group.items()
                    for number in range(count)
                    if (topic, number) not in ranges
                ],
                {topic: ids.get(topic) for topic in group},
                compacted,
                protection,
            )
            for destination, group in groups.items()
        }
        comparisons = {name: one for name, one in comparisons.items() if one.ranges}
        meter = Meter(sum(found.end - found.start for found in ranges.values()), self._progress)
        kafka = self._kafka_jobs(comparisons, meter)
        rivven = self._rivven_jobs(comparisons, reader, meter)
        if compacted:
            run_jobs(kafka, len(kafka))
            run_jobs(rivven, _workers(len(rivven)))
        else:
            # Kafka's come first, as each is a thread's whole work.
            run_jobs([*kafka, *rivven], len(kafka) + _workers(len(rivven)))
        for destination, one in comparisons.items():
            self._report.foreign[destination] = one.index.foreign
            for place in one.ranges:
                self._progress(f"looking at {place[0]}:{place[1]}")
                self._report.partitions.append(one.result(place, self._kafka, reader))

    def _kafka_jobs(self, comparisons: Mapping[str, EventComparison], meter: Meter) -> list[Job]:
        """One for each thread: a consumer reads several partitions at once."""
        bounds = [
            (one, place, (found.start, found.end))
            for one in comparisons.values()
            for place, found in one.ranges.items()
            if found.start < found.end
        ]
        workers = _workers(len(bounds))

        def job(share: list[tuple[EventComparison, Place, tuple[int, int]]]) -> Job:
            indexes = {place[0]: one.index for one, place, _ in share}

            def read(stop: threading.Event) -> None:
                for block in self._kafka.read({place: bound for _, place, bound in share}):
                    go_on(stop)
                    indexes[block.topic].feed_kafka(block)
                    meter.add(kafka=len(block))

            return read

        return [job(bounds[first::workers]) for first in range(workers)] if bounds else []

    def _rivven_jobs(
        self, comparisons: Mapping[str, EventComparison], reader: LogReader, meter: Meter
    ) -> list[Job]:
        def job(one: EventComparison, number: int) -> Job:
            def read(stop: threading.Event) -> None:
                def take(block: RecordBlock) -> None:
                    go_on(stop)
                    one.index.feed_rivven(block)
                    meter.add(rivven=len(block))

                with closing(self._reader()) as mine:
                    unreadable = mine.read(one.destination, number, take)
                with self._lock:
                    self._report.unreadable += unreadable

            return read

        return [
            job(one, number)
            for one in comparisons.values()
            for number in range(reader.partition_count(one.destination) or 0)
        ]

    def _compare_raw(
        self, states: Mapping[Place, PartitionState], ranges: Mapping[Place, Range], reader: LogReader
    ) -> None:
        compacted, note = compacted_topics(self._admin, {topic: 0 for topic, _ in ranges})
        self._report.notes += [] if note is None else [note]
        self._report.notes += [
            f"{topic} is compacted: what Kafka has removed since it was copied shows as a difference"
            for topic in sorted(compacted)
        ]
        comparer = RawComparer(self._entry, self._kafka, self._reader, states)
        meter = Meter(sum(found.end - found.start for found in ranges.values()), self._progress)
        rivven_ends = comparer.rivven_ends(ranges, reader)
        # After Rivven's: what Rivven has by then, Kafka has, too.
        now = self._states({topic: 1 + max(n for name, n in ranges if name == topic) for topic, _ in ranges})
        done: dict[Place, PartitionResult] = {}

        def job(place: Place) -> Job:
            def compare(stop: threading.Event) -> None:
                bounds = ranges[place], now[place].end
                found, unreadable = comparer.compare(place, *bounds, rivven_ends[place], stop, meter)
                with self._lock:
                    done[place] = found
                    self._report.unreadable += unreadable

            return compare

        run_jobs([job(place) for place in ranges], _workers(len(ranges)))
        self._report.partitions += [done[place] for place in ranges]
        self._report.notes += [
            f"Kafka has deleted {place[0]}:{place[1]} meanwhile: of offsets "
            f"{found.start}-{done[place].start - 1} nothing is proved"
            for place, found in ranges.items()
            if done[place].start > found.start
        ]
        sought = [
            f"{topic}:{number}"
            for (topic, number), found in ranges.items()
            if found.start < found.end and comparer.is_sought((topic, number))
        ]
        if sought:
            self._report.notes.append(
                f"where the range of {', '.join(sought)} begins in Rivven was counted from the end and "
                "sought by its first records: copies before it and losses of whole repetitions are not seen"
            )
        self._report.notes.append(
            "raw values carry no position: from the first difference on, nothing is compared"
        )


def _workers(jobs: int) -> int:
    return max(1, min(jobs, os.cpu_count() or 1, _MOST_WORKERS))

"""The comparison of a source's Kafka topics with its Rivven topics, and the repair."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any

from rivven_kafka._native import PositionIndex
from rivven_kafka.config import (
    BrokerConfig,
    DeliveryGuarantee,
    OnTombstone,
    Settings,
    SourceEntry,
    StartOffset,
    ValueFormat,
    transforms_json,
)
from rivven_kafka.errors import DeliveryError, RetriableBrokerError, RivvenKafkaError
from rivven_kafka.kafka import BlockConsumer, admin_options
from rivven_kafka.kafka.group_offsets import committed_offsets, write_committed
from rivven_kafka.kafka.group_state import PartitionState, member_count, partition_states, topic_ids
from rivven_kafka.pipeline.anchors import Commitment
from rivven_kafka.pipeline.destination import by_destination
from rivven_kafka.pipeline.loop_protection import source_protection
from rivven_kafka.pipeline.publisher_options import require_shared
from rivven_kafka.reading.comparable import require_pairs, require_positions
from rivven_kafka.reading.kafka_log import Place, cut, read_between
from rivven_kafka.reading.patience import patiently
from rivven_kafka.reading.rivven_log import LogReader
from rivven_kafka.repair.publishing import MissingRecords
from rivven_kafka.repair.report import PartitionReport, Report
from rivven_kafka.rivven.options import client_arguments
from rivven_kafka.source import consumer_options, find_topics


def repair_source(
    name: str,
    entry: SourceEntry,
    broker: BrokerConfig,
    settings: Settings,
    *,
    apply: bool,
    progress: Callable[[str], None] = lambda _: None,
) -> Report:
    """Compares what Kafka holds with what the source has written to Rivven, and publishes what is missing.

    Only records before the committed offset of the source's group can be missing: the others are still to be
    copied. Committed offsets stay; with exactly_once, what is committed beside them is set back, so
    that the source reads all of Rivven when it starts.

    Args:
        name: Name of the source.
        entry: Its section.
        broker: How to reach Rivven.
        settings: What holds for all connectors of the file.
        apply: Whether to publish; else nothing is written anywhere.
        progress: Told what is being done.

    Returns:
        What was found, and how much was published.

    Raises:
        ConfigError: The options of the source do not allow the comparison.
        RivvenKafkaError: The group has active members, a broker cannot be reached, or not everything could be
            published. What was published stays; a later repair does the rest.
    """
    return _Repair(name, entry, broker, settings, progress).run(apply=apply)


class _Repair:
    def __init__(
        self,
        name: str,
        entry: SourceEntry,
        broker: BrokerConfig,
        settings: Settings,
        progress: Callable[[str], None],
    ) -> None:
        self._name = name
        self._entry = entry
        self._settings = settings
        self._progress = progress
        self._broker = broker
        self._protection: dict[str, Any] = {}
        self._arguments = client_arguments(broker, settings.retry, entry.config.client_id or name)
        self._report = Report(name)
        self._states: dict[Place, PartitionState] = {}

    def run(self, *, apply: bool) -> Report:
        entry, config = self._entry, self._entry.config
        require_positions(self._name, entry)
        require_pairs(self._name, entry, {})
        options = consumer_options(config, self._name)
        with closing(BlockConsumer({**options, "group_id": None})) as consumer:
            topics = find_topics(consumer, config)
        groups = by_destination(entry, topics)
        require_pairs(self._name, entry, groups)
        self._protection = source_protection(self._name, entry, self._broker)
        admin = admin_options(config, self._name)
        if apply:
            require_shared(self._name, entry, "repair --apply")
            self._require_quiet(admin)
        # Before Rivven is read: what is committed by then is there, unless it is missing.
        self._states = patiently(
            lambda: partition_states(admin, config.consumer_group, topics, str(config.isolation_level))
        )
        ids = topic_ids(admin, topics)
        self._note()
        with closing(LogReader(self._arguments, config.max_in_flight_bytes // 2)) as reader:
            missing = None
            if apply:
                self._require_sound(reader, groups)
                self._require_quiet(admin)
                missing = MissingRecords(
                    self._arguments, entry, self._settings.topic, topics, ids, self._protection
                )
            try:
                for destination, group in groups.items():
                    self._compare(reader, destination, group, ids, options, missing)
                if missing is not None:
                    self._report.published = self._publish_rest(missing)
                    self._forget_anchors(admin, topics)
            finally:
                if missing is not None:
                    missing.close()
        return self._report

    def _compare(
        self,
        reader: LogReader,
        destination: str,
        group: Mapping[str, int],
        ids: Mapping[str, str | None],
        options: Mapping[str, object],
        missing: MissingRecords | None,
    ) -> None:
        """Compares all that goes to one Rivven topic; raw values partition by partition, to save memory."""
        numbers = reader.partition_count(destination) or 0
        places = [(topic, number) for topic, count in group.items() for number in range(count)]
        raw = self._entry.config.value_format is ValueFormat.RAW
        units: Iterator[tuple[list[int], list[Place]]] = (
            (([place[1]] if place[1] < numbers else [], [place]) for place in places)
            if raw
            else iter([(list(range(numbers)), places)])
        )
        for partitions, unit in units:
            index = self._index(destination, {topic: ids.get(topic) for topic in group})
            for number in partitions:
                self._progress(f"reading Rivven {destination}:{number}")
                self._report.unreadable += reader.read(destination, number, index.feed)
                beyond = reader.beyond_end(destination, number)
                self._report.beyond_end += [] if beyond is None else [beyond]
            self._compare_kafka(index, destination, unit, options, missing)
            foreign = self._report.foreign.get(destination, 0) + index.foreign
            self._report.foreign[destination] = foreign

    def _compare_kafka(
        self,
        index: PositionIndex,
        destination: str,
        places: list[Place],
        options: Mapping[str, object],
        missing: MissingRecords | None,
    ) -> None:
        reports = {place: PartitionReport(*place, destination) for place in places}
        bounds = {place: (self._states[place].start, self._states[place].end) for place in places}
        timeout_s = self._entry.config.request_timeout_ms / 1000
        total = sum(end - start for start, end in bounds.values())
        firsts = {place: self._first_copied(index, place) for place in places}
        done = 0
        for block in read_between(options, bounds, timeout_s, self._entry.config.max_batch_bytes):
            place = block.topic, block.partition
            report, state = reports[place], self._states[place]
            report.records += len(block)
            copied, later = cut(block, state.committed or 0)
            first = firsts[place]
            if first is None:
                report.undecided += len(index.compare(copied)[0])
                copied = copied.slice(0, 0)
            before, copied = cut(copied, first or 0)
            lacking, ranges, present, left_out, bad = index.compare(before)
            report.before_start += len(lacking)
            lacking, ranges, present, left_out, bad = index.compare(copied)
            report.add_missing(len(lacking), ranges)
            report.present += present
            report.left_out += left_out
            report.bad += bad
            report.not_copied += len(index.compare(later)[0])
            if missing is not None and len(lacking):
                missing.submit(lacking)
            done += len(block)
            self._progress(f"comparing with Kafka, {done} of about {total} records")
        for place, report in reports.items():
            report.doubled = index.doubled(*place)
            self._report.partitions.append(report)
            if report.undecided:
                self._report.notes.append(
                    f"start_offset is latest, and Rivven holds nothing of {place[0]}:{place[1]}: nothing "
                    f"tells where the source began, so nothing of it is published"
                )

    def _first_copied(self, index: PositionIndex, place: Place) -> int | None:
        """Where the source began; with `start_offset: latest`, at the first record that is there.

        To be asked before anything is compared. None if it is not known: nothing of the partition is there.
        """
        if self._entry.config.start_offset is not StartOffset.LATEST:
            return 0
        if self._entry.config.value_format is ValueFormat.RAW:
            # No record has found its like in Kafka yet.
            return 0 if index.foreign else None
        return index.lowest(*place)

    def _index(self, destination: str, topics: dict[str, str | None]) -> PositionIndex:
        config = self._entry.config
        tombstone = config.on_tombstone
        return PositionIndex(
            destination,
            topics,
            value_format=config.value_format,
            on_tombstone="fail" if tombstone is OnTombstone.DEAD_LETTER else tombstone,
            transforms=transforms_json(self._entry.transforms),
            include_headers=config.include_headers,
            include_key=config.include_key,
            **self._protection,
        )

    def _publish_rest(self, missing: MissingRecords) -> int:
        self._progress("publishing")
        published = missing.finish()
        if published != self._report.missing:
            raise DeliveryError(
                f"{published} of {self._report.missing} missing records were published: compare again"
            )
        return published

    def _forget_anchors(self, admin: Mapping[str, object], topics: Mapping[str, int]) -> None:
        """Has a source that delivers exactly once read all of Rivven when it starts: offsets may differ."""
        if self._entry.config.delivery_guarantee is not DeliveryGuarantee.EXACTLY_ONCE:
            return
        group = self._entry.config.consumer_group
        places = [(group, topic, number) for topic, count in topics.items() for number in range(count)]
        committed = patiently(
            lambda: committed_offsets(admin, places, stable=False), settled=lambda found: found is not None
        )
        if committed is None:
            raise RetriableBrokerError(
                f"the coordinator of Kafka group {group!r} does not answer, and what is committed beside its "
                f"offsets is not set back: repair again before the source starts"
            )
        changed = {
            (topic, number): (offset, replace(known, anchors=dict.fromkeys(known.anchors, 0)).dump())
            for (_, topic, number), (offset, metadata) in committed.items()
            if (known := Commitment.load(metadata)) is not None
        }
        write_committed(admin, group, changed)

    def _require_sound(self, reader: LogReader, destinations: Iterable[str]) -> None:
        for destination in destinations:
            for number in range(reader.partition_count(destination) or 0):
                reader.require_sound(destination, number)

    def _require_quiet(self, admin: Mapping[str, object]) -> None:
        """Refuses to write beside a source that is at work: what it is about to write would come twice."""
        group = self._entry.config.consumer_group
        members = patiently(lambda: member_count(admin, group))
        if members:
            raise RivvenKafkaError(
                f"Kafka group {group!r} has {members} active members: stop the source before --apply, and "
                f"wait until its session has ended (session_timeout_ms) if it was killed"
            )

    def _note(self) -> None:
        config, notes = self._entry.config, self._report.notes
        without = [
            f"{topic}:{number}" for (topic, number), at in self._states.items() if at.committed is None
        ]
        if without:
            notes.append(
                f"group {config.consumer_group!r} has no committed offset in {', '.join(without)}: nothing "
                f"of it counts as copied"
            )
        if config.value_format is ValueFormat.RAW:
            notes.append("raw values carry no position: equal records cannot be told apart")
        if config.start_offset is StartOffset.LATEST and config.value_format is ValueFormat.RAW:
            notes.append(
                "start_offset is latest, and nothing tells where the source began: older records count as "
                "missing"
            )

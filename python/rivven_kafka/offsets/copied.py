"""The two logs that a source connects: which Kafka records lie where in Rivven."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from functools import partial
from types import TracebackType
from typing import Any

from rivven_kafka._native import OffsetMap, RawPairs, RivvenClient
from rivven_kafka.config import (
    BrokerConfig,
    OnTombstone,
    Ordering,
    Partitioning,
    Settings,
    SourceEntry,
    StartOffset,
    ValueFormat,
    transforms_json,
)
from rivven_kafka.config.transforms import changing
from rivven_kafka.errors import (
    ConfigError,
    LogDamagedError,
    RivvenKafkaError,
    UnknownTopicError,
)
from rivven_kafka.kafka import BlockConsumer, admin_options
from rivven_kafka.kafka.group_state import PartitionState, partition_states, topic_ids
from rivven_kafka.offsets.report import Method
from rivven_kafka.offsets.search import crossing, proves
from rivven_kafka.offsets.stretches import KafkaStretches
from rivven_kafka.pipeline.destination import by_destination
from rivven_kafka.reading.kafka_log import read_between
from rivven_kafka.reading.patience import patiently
from rivven_kafka.reading.rivven_log import LogReader
from rivven_kafka.rivven.options import client_arguments
from rivven_kafka.source import consumer_options, find_topics

KafkaPlace = tuple[str, int]
"""Kafka topic and partition."""

_SEARCHED = 50_000
"""Records from which a Rivven partition is searched rather than read in whole (0.1 s)."""
_PROBE = 100
"""Records that one step of a search reads."""
_TAIL = 1_000
"""Least records at the end of a log that a search reads."""


class CopiedLogs:
    """What a source has read in Kafka and written to Rivven. Also a context manager.

    How far the source and the Kafka partitions have come is asked when it is made, before Rivven is read:
    what the source has committed by then is in Rivven.

    Args:
        name: Name of the source.
        entry: Its section.
        broker: How to reach Rivven.
        settings: What holds for all connectors of the file.
        progress: Told what is being done.

    Attributes:
        topics: The Kafka topics of the source and their numbers of partitions.
        states: How the Kafka partitions stand, with what the source has committed.
        unreadable: Stretches of Rivven partitions that could not be read.

    Raises:
        ConfigError: The options of the source leave nothing to recognise records by.
        RivvenKafkaError: A broker cannot be reached.
    """

    def __init__(
        self,
        name: str,
        entry: SourceEntry,
        broker: BrokerConfig,
        settings: Settings,
        progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._name = name
        self._entry = entry
        self._progress = progress
        self._require_positions()
        config = entry.config
        self._options = consumer_options(config, name)
        self._stretches = KafkaStretches(name, entry, broker, self._options)
        with closing(BlockConsumer({**self._options, "group_id": None})) as consumer:
            self.topics = find_topics(consumer, config)
        self._groups = by_destination(entry, self.topics)
        self._require_pairs()
        self.admin = admin_options(config, name)
        self.states: dict[KafkaPlace, PartitionState] = {}
        self._ids: dict[str, str | None] = {}
        self.ask_kafka()
        arguments = client_arguments(broker, settings.retry, config.client_id or name)
        self.client = RivvenClient(**arguments)
        self._reader = LogReader(arguments, config.max_in_flight_bytes // 2)
        self.unreadable: list[str] = []

    def ask_kafka(self) -> None:
        """Asks anew how the Kafka partitions stand, and how far the source has come."""
        config = self._entry.config
        self.states = patiently(
            lambda: partition_states(
                self.admin, config.consumer_group, self.topics, str(config.isolation_level)
            )
        )
        self._ids = topic_ids(self.admin, self.topics)

    def destinations(self, place: KafkaPlace) -> list[tuple[str, int]]:
        """The Rivven partitions that the records of a Kafka partition are in.

        Raises:
            UnknownTopicError: The Rivven topic does not exist, or has too few partitions.
        """
        destination, number = self._entry.destination(place[0]), place[1]
        count = self.partition_count(destination)
        if self._entry.config.partitioning is not Partitioning.PRESERVE:
            return [(destination, each) for each in range(count)]
        if number >= count:
            raise UnknownTopicError(
                f"Rivven topic {destination!r} has {count} partitions, none for Kafka {place[0]}:{number}",
                topic=destination,
                partition=number,
            )
        return [(destination, number)]

    def exists(self, topic: str) -> bool:
        """Whether the Rivven topic for the records of a Kafka topic exists."""
        return self.client.partition_count(self._entry.destination(topic)) is not None

    def origins(self, topic: str, partition: int) -> list[KafkaPlace]:
        """The Kafka partitions whose records may be in a Rivven partition."""
        preserve = self._entry.config.partitioning is Partitioning.PRESERVE
        return [
            (name, number)
            for name, count in self._groups.get(topic, {}).items()
            for number in range(count)
            if not preserve or number == partition
        ]

    def partition_count(self, topic: str) -> int:
        """How many partitions a Rivven topic has.

        Raises:
            UnknownTopicError: It does not exist, or the source does not fill it.
        """
        if topic not in self._groups:
            names = ", ".join(self._groups)
            raise UnknownTopicError(
                f"source {self._name!r} does not fill Rivven topic {topic!r}: expected one of: {names}",
                topic=topic,
            )
        count = self.client.partition_count(topic)
        if count is None:
            raise UnknownTopicError(f"Rivven topic {topic!r} does not exist", topic=topic)
        return count

    def map_for(
        self, topic: str, partition: int, wanted: Mapping[KafkaPlace, Iterable[int]], *, scan: bool
    ) -> tuple[OffsetMap, Method]:
        """A map of a Rivven partition that answers for some Kafka offsets as one of all of it would.

        Args:
            topic: Rivven topic.
            partition: Its partition.
            wanted: The Kafka offsets, by Kafka partition.
            scan: Read all of the partition in any case.

        Raises:
            ConfigError: Raw values of the two logs do not pair.
        """
        if self._entry.config.value_format is ValueFormat.RAW:
            return self._paired(topic, partition), Method.PAIRED
        if not scan and self._may_search(topic):
            tail = self._searched(topic, partition, wanted)
            if tail is not None:
                return tail, Method.SEARCH
        return self.whole(topic, partition), Method.SCAN

    def whole(self, topic: str, partition: int) -> OffsetMap:
        """A map of all of a Rivven partition."""
        if self._entry.config.value_format is ValueFormat.RAW:
            return self._paired(topic, partition)
        start, _ = self.client.offset_bounds(topic, partition)
        return self._read(topic, partition, self._new_map(topic, start))

    def record_at(self, topic: str, partition: int, offset: int) -> tuple[int, str, int, int] | None:
        """The first record of Kafka at or behind a Rivven offset: Rivven offset, and place in Kafka."""
        if self._entry.config.value_format is ValueFormat.RAW:
            return self._paired(topic, partition).at(offset)
        return self._first_from(topic, partition, offset, limit=None)

    def first_in_kafka(self, place: KafkaPlace, offset: int, before: int) -> int | None:
        """The offset of the first record that Kafka has from `offset` on, None if none before another one."""
        return self._stretches.first(place, *self._within(place, offset, before))

    def belongs_in_rivven(self, place: KafkaPlace, offset: int, before: int) -> bool:
        """Whether Kafka has a record between two offsets that the source does not leave out by right."""
        return self._stretches.publishes(place, *self._within(place, offset, before))

    def _within(self, place: KafkaPlace, offset: int, before: int) -> tuple[int, int]:
        return max(offset, self.states[place].start), min(before, self.states[place].end)

    def copied_to(self, place: KafkaPlace, maps: Iterable[OffsetMap]) -> int:
        """The Kafka offset behind all that was copied, by what is committed and by what is there."""
        ends = [bounds[1] + 1 for one in maps if (bounds := one.bounds(*place)) is not None]
        return max([self.states[place].committed or 0, *ends])

    def all_copied_to(self, place: KafkaPlace, maps: Iterable[OffsetMap]) -> int:
        """The Kafka offset before which nothing is on its way to Rivven any more."""
        # Out of order, records that lie there may have overtaken others.
        return self.copied_to(place, maps if self._in_order() else ())

    def log_end(self, place: KafkaPlace) -> int:
        """The end of a Kafka partition as it is now, behind open transactions."""
        topic, group = {place[0]: self.topics[place[0]]}, self._entry.config.consumer_group
        ask = partial(partition_states, self.admin, group, topic, "read_uncommitted")
        return patiently(ask)[place].end

    def _in_order(self) -> bool:
        """Whether the source writes a Kafka partition to one Rivven partition, in its order."""
        config = self._entry.config
        return config.partitioning is Partitioning.PRESERVE and config.ordering is Ordering.PARTITION

    def _may_search(self, topic: str) -> bool:
        """Whether Kafka offsets rise in the Rivven partitions, apart from doubled records."""
        return self._in_order() and len(self._groups[topic]) == 1

    def _searched(
        self, topic: str, partition: int, wanted: Mapping[KafkaPlace, Iterable[int]]
    ) -> OffsetMap | None:
        """The end of a Rivven partition, as much as the answers need; None if it cannot be proven enough."""
        start, end = self.client.offset_bounds(topic, partition)
        if end - start < _SEARCHED:
            return None
        [(place, offsets)] = wanted.items()
        lowest = min(offsets)
        self._progress(f"searching Rivven {topic}:{partition}")

        def first_from(offset: int) -> tuple[int, int] | None:
            found = self._first_from(topic, partition, offset, limit=_TAIL)
            if found is None and offset + _TAIL < end:
                raise LookupError(offset)
            return None if found is None or found[1:3] != place else (found[0], found[3])

        try:
            at = crossing(first_from, start, end, lowest)
        except (LookupError, LogDamagedError):
            return None
        tail = self._read(topic, partition, self._new_map(topic, max(start, min(at, end - _TAIL))))
        committed = self.states[place].committed
        if self.unreadable or not all(proves(tail, *place, one, committed) for one in offsets):
            return None
        return tail

    def _first_from(
        self, topic: str, partition: int, offset: int, limit: int | None
    ) -> tuple[int, str, int, int] | None:
        """The first record of Kafka from a Rivven offset on, within so many offsets."""
        start, end = self.client.offset_bounds(topic, partition)
        at = max(start, offset)
        last = end if limit is None else min(end, at + limit)
        found = self._new_map(topic, at)
        while at < last:
            block = self.client.fetch(topic, partition, at, _PROBE)
            if not len(block):
                break
            found.feed(block)
            first = found.at(at)
            if first is not None:
                return first
            at = max(at + 1, found.next_offset)
        return None

    def _new_map(self, topic: str, start: int) -> OffsetMap:
        return OffsetMap({name: self._ids.get(name) for name in self._groups[topic]}, start)

    def _read(self, topic: str, partition: int, found: OffsetMap) -> OffsetMap:
        self._progress(f"reading Rivven {topic}:{partition}")
        self._note_unreadable(self._reader.read(topic, partition, found.feed, found.next_offset))
        return found

    def _note_unreadable(self, spans: Iterable[Any]) -> None:
        self.unreadable += [f"{span.topic}:{span.partition}: {span.first}-{span.last}" for span in spans]

    def _paired(self, topic: str, partition: int) -> OffsetMap:
        """A map of all of a Rivven partition with raw values, each compared with its like in Kafka."""
        config = self._entry.config
        tombstone = config.on_tombstone
        pairs = RawPairs(
            topic,
            on_tombstone="fail" if tombstone is OnTombstone.DEAD_LETTER else tombstone,
            transforms=transforms_json(self._entry.transforms),
        )
        self._progress(f"reading Rivven {topic}:{partition}")
        start, _ = self.client.offset_bounds(topic, partition)
        self._note_unreadable(self._reader.read(topic, partition, pairs.feed))
        found = self._new_map(topic, start)
        for place in self.origins(topic, partition):
            self._progress(f"reading Kafka {place[0]}:{place[1]}")
            state = self.states[place]
            bounds = {place: (state.start, state.end)}
            timeout_s = config.request_timeout_ms / 1000
            for block in read_between(self._options, bounds, timeout_s, config.max_batch_bytes):
                unequal = pairs.pair(block, found)
                if unequal is not None:
                    raise RivvenKafkaError(
                        f"sources.{self._name}: raw values carry no position, and counting does not tell "
                        f"where they are: Rivven {topic}:{partition} offset {unequal[0]} is not what Kafka "
                        f"{place[0]}:{place[1]} has at offset {unequal[1]}; Kafka has deleted or compacted "
                        f"records since they were copied, some were copied twice, or another writer was there"
                    )
                if not pairs.left:
                    break
        if pairs.left:
            raise RivvenKafkaError(
                f"sources.{self._name}: raw values carry no position, and counting does not tell where they "
                f"are: Rivven {topic}:{partition} holds {pairs.left} records more than Kafka; some were "
                f"copied twice, or another writer was there"
            )
        return found

    def _require_positions(self) -> None:
        """Refuses transforms that take the position out of the events."""
        if self._entry.config.value_format is ValueFormat.RAW:
            return
        fields = ("metadata.position", "metadata.kafka_topic_id")
        for path, field in changing(self._entry.transforms, fields):
            where = ".".join(map(str, path))
            raise ConfigError(
                f"sources.{self._name}.transforms.{where}: changes {field}, by which offsets are "
                f"translated: expected transforms that leave it alone"
            )

    def _require_pairs(self) -> None:
        """Refuses raw values that do not stand in Rivven in the order of one Kafka partition."""
        config = self._entry.config
        if config.value_format is not ValueFormat.RAW:
            return
        needed: dict[str, tuple[object, object]] = {
            "partitioning": (config.partitioning, Partitioning.PRESERVE),
            "ordering": (config.ordering, Ordering.PARTITION),
            "start_offset": (config.start_offset, StartOffset.EARLIEST),
        }
        for option, (got, expected) in needed.items():
            if got is not expected:
                raise ConfigError(
                    f"sources.{self._name}.config.{option}: got {got}: raw values carry no position, and are "
                    f"counted from the beginning of each partition: expected {expected}"
                )
        for destination, group in self._groups.items():
            if len(group) > 1:
                raise ConfigError(
                    f"sources.{self._name}.topic: got {destination!r} for {len(group)} Kafka topics: raw "
                    f"values carry no position: expected one Kafka topic for each Rivven topic"
                )

    def close(self) -> None:
        """Closes the connections to Rivven."""
        self._reader.close()
        self.client.close()

    def __enter__(self) -> CopiedLogs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

"""Translating offsets and times of Kafka to offsets of Rivven, and back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

from rivven_kafka._native import OffsetMap
from rivven_kafka.config import BrokerConfig, Settings, SourceEntry, ValueFormat
from rivven_kafka.errors import ConfigError, UnknownTopicError
from rivven_kafka.kafka.log_times import offsets_for_times
from rivven_kafka.offsets.copied import CopiedLogs, KafkaPlace
from rivven_kafka.offsets.place import Place, parse_place
from rivven_kafka.offsets.report import Method, Status, Translation

log = logging.getLogger(__name__)


def translate_offsets(
    name: str,
    entry: SourceEntry,
    broker: BrokerConfig,
    settings: Settings,
    places: Iterable[Place | str],
    *,
    origin: Literal["kafka", "rivven"] = "kafka",
    scan: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Translation]:
    """Where places in Kafka are in Rivven, or the other way.

    From Kafka, an offset means the next record to read, as in a committed offset. The answer is the highest
    Rivven offset at or behind which every record from there on has a copy: who goes on there misses
    nothing. A time means the first record in the log whose timestamp is not before it.

    From Rivven, the answer is the Kafka record that lies at the offset, or the first one behind it. A time
    means the first record that rivvend has appended then or later.

    Args:
        name: Name of the source.
        entry: Its section.
        broker: How to reach Rivven.
        settings: What holds for all connectors of the file.
        places: The places, as `topic:partition@offset` if text, see `parse_place`.
        origin: The side that the places are on.
        scan: Read the whole of each Rivven partition instead of searching it.
        progress: Told what is being done.

    Returns:
        In the order of `places`; from Kafka with `partitioning: key`, one for each Rivven partition.

    Raises:
        ConfigError: A place is malformed, or the options of the source do not allow it.
        UnknownTopicError: The source does not read or fill a topic, or has not such a partition.
        RivvenKafkaError: A broker cannot be reached, or raw values of the two logs do not pair.
    """
    wanted = [_place(place) for place in places]
    with CopiedLogs(name, entry, broker, settings, progress) as logs:
        if origin == "rivven":
            found = [_from_rivven(logs, entry, place) for place in wanted]
        else:
            found = _from_kafka(name, logs, entry, wanted, scan=scan)
        for span in dict.fromkeys(logs.unreadable):
            log.warning("cannot be read in Rivven, and counts for nothing: %s", span)
        return found


def _place(place: Place | str) -> Place:
    try:
        return place if isinstance(place, Place) else parse_place(place)
    except ValueError as error:
        raise ConfigError(f"place: {error}") from error


def _from_kafka(
    name: str, logs: CopiedLogs, entry: SourceEntry, places: Sequence[Place], *, scan: bool
) -> list[Translation]:
    for place in places:
        count = logs.topics.get(place.topic)
        if count is None:
            names = ", ".join(logs.topics) or "none"
            raise UnknownTopicError(
                f"source {name!r} does not read Kafka topic {place.topic!r}: expected one of: {names}",
                topic=place.topic,
            )
        if place.partition >= count:
            raise UnknownTopicError(
                f"Kafka topic {place.topic!r} has {count} partitions: got partition {place.partition}",
                topic=place.topic,
                partition=place.partition,
            )
    times = {(place.topic, place.partition, place.time_ms) for place in places if place.time_ms is not None}
    isolation = str(entry.config.isolation_level)
    found = offsets_for_times(logs.admin, times, isolation) if times else {}
    offsets = [
        found[place.topic, place.partition, place.time_ms] if place.time_ms is not None else place.offset or 0
        for place in places
    ]
    wanted: dict[tuple[str, int], dict[KafkaPlace, list[int]]] = {}
    for place, offset in zip(places, offsets, strict=True):
        at = place.topic, place.partition
        for target in logs.destinations(at):
            wanted.setdefault(target, {}).setdefault(at, []).append(offset)
    maps = {target: logs.map_for(*target, asked, scan=scan) for target, asked in wanted.items()}
    return [
        translated
        for place, offset in zip(places, offsets, strict=True)
        for translated in _positions(logs, place, offset, maps)
    ]


def _positions(
    logs: CopiedLogs,
    place: Place,
    offset: int,
    maps: Mapping[tuple[str, int], tuple[OffsetMap, Method]],
) -> Iterable[Translation]:
    at = place.topic, place.partition
    targets = logs.destinations(at)
    copied = [maps[target][0] for target in targets]
    for target in targets:
        found, method = maps[target]
        rivven, after, status, again = position(logs, at, offset, found, copied)
        yield Translation(str(place), *at, offset, *target, rivven, after, status, again, method)


def position(
    logs: CopiedLogs, place: KafkaPlace, offset: int, found: OffsetMap, copied: Sequence[OffsetMap]
) -> tuple[int, int | None, Status, int]:
    """Where to read on in a Rivven partition for who has read a Kafka partition up to `offset`.

    Args:
        logs: The logs.
        place: The Kafka partition.
        offset: The next Kafka offset to read.
        found: What the Rivven partition holds.
        copied: The same for all Rivven partitions that the Kafka partition goes to.

    Returns:
        Rivven offset, Kafka offset of the record there (None at the end), how good it is, and how many
        records come again.
    """
    read_from = found.read_from(*place, offset)
    rivven: int
    after: int | None
    if read_from is None:
        # Behind the end, which is that of the first open transaction for who reads committed records, nobody
        # knows yet what lies between.
        beyond = offset > logs.states[place].end
        end = logs.copied_to(place, copied)
        if beyond or (offset > end and logs.first_in_kafka(place, end, offset) is not None):
            return found.next_offset, None, Status.NOT_COPIED, 0
        rivven, after, again = found.next_offset, None, 0
    else:
        rivven, after, again = read_from
    if _misses(logs, place, offset, copied):
        return rivven, after, Status.MISSING, again
    return rivven, after, Status.READ_AGAIN if again else Status.EXACT, again


def _misses(logs: CopiedLogs, place: KafkaPlace, offset: int, copied: Sequence[OffsetMap]) -> bool:
    """Whether a record from `offset` on belongs in Rivven before the first one that is there."""
    found = [following for one in copied if (following := one.next(*place, offset)) is not None]
    following = min(found, default=logs.copied_to(place, copied))
    return logs.belongs_in_rivven(place, offset, following)


def _from_rivven(logs: CopiedLogs, entry: SourceEntry, place: Place) -> Translation:
    target = place.topic, place.partition
    count = logs.partition_count(place.topic)
    if place.partition >= count:
        raise UnknownTopicError(
            f"Rivven topic {place.topic!r} has {count} partitions: there is no partition {place.partition}",
            topic=place.topic,
            partition=place.partition,
        )
    offset = place.offset
    if place.time_ms is not None:
        offset = logs.client.offset_for_timestamp(*target, place.time_ms)
    if offset is None:
        offset = logs.client.offset_bounds(*target)[1]
    raw = entry.config.value_format is ValueFormat.RAW
    method = Method.PAIRED if raw else Method.READ
    found = logs.record_at(*target, offset)
    if found is None:
        return Translation(str(place), None, None, None, *target, offset, None, Status.NOTHING, 0, method)
    rivven, topic, partition, kafka = found
    return Translation(str(place), topic, partition, kafka, *target, rivven, kafka, Status.EXACT, 0, method)

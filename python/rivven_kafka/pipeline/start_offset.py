"""Where a sink starts, and what is not there any more."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from rivven_kafka._native import RivvenClient
from rivven_kafka.config import SinkEntry, StartOffset, StartOffsets
from rivven_kafka.errors import ConfigError
from rivven_kafka.pipeline.lag import Partition

log = logging.getLogger(__name__)


def start_positions(
    client: RivvenClient,
    entry: SinkEntry,
    partitions: Iterable[Partition],
    stored: Mapping[Partition, int],
    beat: Callable[[], bool] = lambda: True,
) -> dict[Partition, int] | None:
    """Where to go on in the partitions that a sink was given; a first position is committed at once.

    None when the partitions have gone to others meanwhile.

    Args:
        client: Connection to Rivven.
        entry: The sink's section.
        partitions: Rivven topics and partitions.
        stored: The positions that Kafka holds, of a sink with transactions.
        beat: Keeps the session of the group alive, which many partitions outlast; False when it has ended.

    Raises:
        ConfigError: `start_offset` names a partition or an offset that does not exist.
    """
    group = entry.consumer_group
    positions: dict[Partition, int] = {}
    fresh = []
    for topic, partition in partitions:
        if not beat():
            return None
        committed = client.committed_offset(group, topic, partition)
        # Rivven is ahead where the sink ran without transactions in between.
        known = [offset for offset in (committed, stored.get((topic, partition))) if offset is not None]
        if known:
            positions[topic, partition] = max(known)
        else:
            offset = start_position(client, topic, partition, entry.start_offset)
            fresh.append((topic, partition, offset))
            positions[topic, partition] = offset
    require_partitions(client, entry.start_offset)
    if fresh:
        # Without this a restart before the first commit would start at a new `latest` and lose records.
        client.commit_offsets(group, fresh, durable=True)
    return positions


def require_partitions(client: RivvenClient, start: StartOffset | datetime | StartOffsets) -> None:
    """Makes sure that offsets are given for partitions that exist.

    Raises:
        ConfigError: One is given for another.
    """
    for topic, offsets in start.offsets.items() if isinstance(start, StartOffsets) else ():
        count = client.partition_count(topic) or 0
        if max(offsets, default=-1) >= count:
            raise ConfigError(
                f"start_offset: got partition {max(offsets)}: the topic has {count} partitions", topic=topic
            )


def start_position(
    client: RivvenClient, topic: str, partition: int, start: StartOffset | datetime | StartOffsets
) -> int:
    """The offset to start at.

    Args:
        client: Connection to Rivven.
        topic: Rivven topic.
        partition: Its partition.
        start: `earliest`, `latest`, the first record appended at or after a time (where there is none,
            `latest`), or an offset for each partition.

    Raises:
        ConfigError: An offset that was given lies outside the log.
    """
    earliest, latest = client.offset_bounds(topic, partition)
    if isinstance(start, StartOffsets):
        offset = start.offsets.get(topic, {}).get(partition)
        if offset is None:
            return start_position(client, topic, partition, start.otherwise)
        if not earliest <= offset <= latest:
            raise ConfigError(
                f"start_offset: got {offset}: the log has the offsets {earliest} to {latest}",
                topic=topic,
                partition=partition,
            )
        return offset
    if start is StartOffset.EARLIEST:
        return earliest
    if isinstance(start, datetime):
        found = client.offset_for_timestamp(topic, partition, int(start.timestamp() * 1000))
        return latest if found is None else found
    return latest


def warn_of_deleted(
    client: RivvenClient,
    positions: Mapping[Partition, int],
    name: str,
    beat: Callable[[], bool] = lambda: True,
) -> int:
    """Makes it heard when Rivven has deleted records that a sink has not read.

    Args:
        client: Connection to Rivven.
        positions: Where reading starts, by topic and partition.
        name: The sink, for logs.
        beat: As for `start_positions`.

    Returns:
        How many records are gone, as far as the session of the group has lasted.
    """
    gone = 0
    for (topic, partition), offset in positions.items():
        if not beat():
            break
        earliest, _ = client.offset_bounds(topic, partition)
        if offset < earliest:
            gone += earliest - offset
            log.warning(
                "Rivven has deleted %d records that were not read, up to offset %d",
                earliest - offset,
                earliest,
                extra={"connector": name, "topic": topic, "partition": partition, "offset": offset},
            )
    return gone

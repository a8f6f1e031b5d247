"""Where a sink starts in a partition that its group has no position for."""

from __future__ import annotations

from datetime import datetime

from rivven_kafka._native import RivvenClient
from rivven_kafka.config import StartOffset, StartOffsets
from rivven_kafka.errors import ConfigError


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

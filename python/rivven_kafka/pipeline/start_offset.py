"""Where a sink starts in a partition that its group has no position for."""

from __future__ import annotations

from datetime import datetime

from rivven_kafka._native import RivvenClient
from rivven_kafka.config import StartOffset


def start_position(client: RivvenClient, topic: str, partition: int, start: StartOffset | datetime) -> int:
    """The offset to start at.

    Args:
        client: Connection to Rivven.
        topic: Rivven topic.
        partition: Its partition.
        start: `earliest`, `latest`, or the first record appended at or after a time; where there is none,
            `latest`.
    """
    earliest, latest = client.offset_bounds(topic, partition)
    if start is StartOffset.EARLIEST:
        return earliest
    if isinstance(start, datetime):
        found = client.offset_for_timestamp(topic, partition, int(start.timestamp() * 1000))
        return latest if found is None else found
    return latest

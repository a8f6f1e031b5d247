"""Reading Kafka partitions between two offsets, without a consumer group."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import Any

from rivven_kafka._native import RecordBlock
from rivven_kafka.errors import TimeoutExpired
from rivven_kafka.kafka import BlockConsumer

_POLL_MS = 500
_POLL_RECORDS = 20_000

Place = tuple[str, int]
"""Kafka topic and partition."""


def read_between(
    options: Mapping[str, Any],
    bounds: Mapping[Place, tuple[int, int]],
    timeout_s: float,
    max_batch_bytes: int,
) -> Iterator[RecordBlock]:
    """The records of partitions from one offset to another (exclusive); in order within each partition.

    Args:
        options: Options of the source's consumer.
        bounds: First offset and end of each partition.
        timeout_s: Longest time without any progress (s).
        max_batch_bytes: Most bytes that one compressed batch may inflate to.

    Raises:
        TimeoutExpired: There was no progress for `timeout_s`.
        RivvenKafkaError: Kafka cannot be read.
    """
    left = {place: start for place, (start, end) in bounds.items() if start < end}
    if not left:
        return
    consumer = BlockConsumer(
        {**options, "group_id": None, "auto_offset_reset": "earliest"}, max_batch_bytes=max_batch_bytes
    )
    try:
        consumer.assign([(topic, partition, at) for (topic, partition), at in left.items()])
        deadline = time.monotonic() + timeout_s
        while left:
            done = False
            for block in consumer.poll(_POLL_MS, _POLL_RECORDS):
                deadline = time.monotonic() + timeout_s
                place = block.topic, block.partition
                if place not in left:
                    continue
                end = bounds[place][1]
                yield cut(block, end)[0]
                # Whoever takes the block may have had to wait.
                deadline = time.monotonic() + timeout_s
                left[place] = block.next_offset
                if block.next_offset >= end:
                    del left[place]
                    done = True
            if done and left:
                # What is complete is not to be fetched any more.
                consumer.assign([(topic, partition, at) for (topic, partition), at in left.items()])
            if time.monotonic() > deadline:
                topic, partition = next(iter(left))
                raise TimeoutExpired(
                    f"nothing came from Kafka for {timeout_s:.0f} s",
                    topic=topic,
                    partition=partition,
                    offset=left[topic, partition],
                )
    finally:
        consumer.close()


def cut(block: RecordBlock, offset: int) -> tuple[RecordBlock, RecordBlock]:
    """The records below an offset, and the others."""
    if block.last_offset is None or block.last_offset < offset:
        return block, block.slice(0, 0)
    if block.first_offset is not None and block.first_offset >= offset:
        return block.slice(0, 0), block
    index = bisect_left(block.offsets(), offset)
    return block.slice(0, index), block.slice(index, len(block))

"""Whether a stretch of a Kafka partition holds no record at all."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from rivven_kafka.kafka.consumer import BlockConsumer

_POLL_MS = 100
_FETCH_WAIT_MS = 10


def is_gap(
    options: Mapping[str, Any], place: tuple[str, int], position: int, end: int, timeout_s: float
) -> bool:
    """Whether nothing is left between an offset and an end that the log has reached already.

    Compaction may take the last records away. A consumer then waits before them for ever, as the broker has
    nothing to answer until something is written. An answer about one partition alone is a proof: it holds at
    least one batch where there is any.

    Args:
        options: Options of the source's consumer.
        place: Kafka topic and partition.
        position: Where reading stands.
        end: An offset that the log has reached, as seen at the isolation level of `options`.
        timeout_s: Longest wait for the answer (s).

    Returns:
        False also if there was no answer in time.

    Raises:
        RivvenKafkaError: Kafka cannot be read.
    """
    consumer = BlockConsumer(
        {
            **options,
            "group_id": None,
            "auto_offset_reset": "earliest",
            "fetch_min_bytes": 1,
            "fetch_max_wait_ms": _FETCH_WAIT_MS,
            "bootstrap_timeout_ms": int(timeout_s * 1000),
            "request_timeout_ms": int(timeout_s * 1000),
        }
    )
    with closing(consumer):
        consumer.assign([(*place, position)])
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for block in consumer.poll(_POLL_MS, 1):
                first = block.next_offset if block.first_offset is None else block.first_offset
                return first >= end
            reached = consumer.high_watermark(*place)
            if reached is not None:
                return reached >= end
    return False

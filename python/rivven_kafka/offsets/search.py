"""Finding where a Kafka offset lies in a Rivven partition, and proving that no more has to be read."""

from __future__ import annotations

from collections.abc import Callable

from rivven_kafka._native import OffsetMap


def crossing(first_from: Callable[[int], tuple[int, int] | None], start: int, end: int, wanted: int) -> int:
    """A Rivven offset where the Kafka offsets come to `wanted`; the end if they do not.

    They do so more than once where records are doubled; any of these places may be found.

    Args:
        first_from: Rivven and Kafka offset of the first record at or behind a Rivven offset, None if none.
        start: First offset to look at.
        end: The end of the log.
        wanted: Kafka offset.
    """
    low, high = start, end
    while low < high:
        middle = (low + high) // 2
        found = first_from(middle)
        if found is None or found[1] >= wanted:
            high = middle
        else:
            low = found[0] + 1
    return low


def proves(tail: OffsetMap, topic: str, partition: int, wanted: int, committed: int | None) -> bool:
    """Whether the end of a Rivven partition tells as much about where to read on as all of it.

    It does when it holds every Kafka offset from `wanted` to its highest one, without a gap, so that none
    can lie only before it; and when the source has committed no more, so that what lay only before it, with
    higher offsets, will be published once more behind it.

    Args:
        tail: All records from some Rivven offset to the end.
        topic: Kafka topic.
        partition: Its partition.
        wanted: Kafka offset.
        committed: What the source had committed before the tail was read.
    """
    bounds = tail.bounds(topic, partition)
    if bounds is None or committed is None or committed > bounds[1] + 1:
        return False
    return wanted > bounds[1] or tail.unbroken_to(topic, partition, wanted) > bounds[1]

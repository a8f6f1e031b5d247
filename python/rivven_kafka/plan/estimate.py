"""How fast rivvend takes records, from what was measured of it: an estimate, with a range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rivven_kafka.config import Ordering, Partitioning, SourceEntry
from rivven_kafka.plan.model import Estimate

_MIB = 1024 * 1024

_LEAST_MS, _MOST_MS = 1.65, 2.0
"""What a record costs on a connection by itself: rivvend syncs each one to disk (docs/performance.md)."""

_LEAST_SHARED_MS, _MOST_SHARED_MS = 0.02, 0.08
"""What it costs more for each further connection that writes at the same time."""

_SAME_PARTITION_MS = 0.035
"""What it costs besides, at least, where all of them write to one partition; less with several."""

_LEAST_BYTE_MS, _MOST_BYTE_MS = 5e-6, 25e-6
"""The same for each byte of the record."""

_QUOTA_BYTES = 50 * _MIB
"""What rivvend lets all clients together publish in a second."""

_MEASURED_LOW, _MEASURED_HIGH = 0.7, 1.3
"""How far a copy is from a short probe."""


@dataclass(frozen=True)
class Load:
    """What is to be copied to one Rivven topic.

    Attributes:
        partitions: Records by Kafka partition, of all Kafka topics that go there.
        destination_partitions: Partitions of the Rivven topic.
        distinct_keys: Keys that were seen; None if there may be many more.
        published_bytes: Average size of key and value in Rivven (bytes).
    """

    partitions: Sequence[float]
    destination_partitions: int
    distinct_keys: int | None
    published_bytes: float


@dataclass(frozen=True)
class Measured:
    """What was measured.

    Attributes:
        kafka_per_second: Records read, decoded and encoded; None if not known.
        round_trip_ms: An answer of Rivven; None if not known.
        published_per_second: Records that the probe published; None without one.
        incoming_per_second: Records written to Kafka.
    """

    kafka_per_second: float | None = None
    round_trip_ms: float | None = None
    published_per_second: float | None = None
    incoming_per_second: float = 0.0


def estimate(entry: SourceEntry, loads: Sequence[Load], measured: Measured) -> Estimate:
    """How long the source takes for what is there now."""
    records = sum(sum(load.partitions) for load in loads)
    volume = sum(sum(load.partitions) * load.published_bytes for load in loads)
    size = volume / records if records else 0.0
    config = entry.config
    lanes = _lanes(entry, loads)
    batch = min(config.max_batch_records, config.max_request_size / size) if size else 1.0
    wait_ms = (measured.round_trip_ms or 0.0) / max(1.0, batch)
    connections = max(1, min(config.connections, sum(len(each) for each in lanes)))
    limits = _limits(entry, size, measured)
    probe = measured.published_per_second
    if probe is None:
        partitions = sum(load.destination_partitions for load in loads)
        slow, fast = (_rate(connections, size, wait_ms, partitions, slow=slow) for slow in (True, False))
    else:
        slow, fast = probe * _MEASURED_LOW, probe * _MEASURED_HIGH
    bound_by = f"{connections} connection{'' if connections == 1 else 's'} to Rivven"
    for limit, text in limits:
        if limit < slow:
            bound_by = text
        slow, fast = min(slow, limit), min(fast, limit)
    busiest = max((share for each in lanes for share in each), default=0.0)
    # The records of one lane go one after the other, whatever the others do.
    shortest = max(records / fast, busiest / _rate(1, size, wait_ms, slow=False))
    longest = max(records / slow, busiest / _rate(1, size, wait_ms, slow=True))
    if records and longest > 1.5 * records / slow:
        bound_by = "the busiest partition, which has one connection"
    incoming = measured.incoming_per_second
    return Estimate(
        records=round(records),
        rivven_bytes=round(volume),
        measured=probe is not None,
        connections=connections,
        records_per_second=(slow, fast),
        seconds=(shortest, longest),
        bound_by=bound_by,
        incoming_per_second=incoming,
        keeps_up=slow > incoming if incoming else None,
        kafka_records_per_second=measured.kafka_per_second,
        rivven_round_trip_ms=measured.round_trip_ms,
    )


def _rate(connections: int, size: float, wait_ms: float, partitions: int = 1, *, slow: bool) -> float:
    """Records per second that rivvend takes over so many connections to so many partitions."""
    alone = _MOST_MS if slow else _LEAST_MS
    crowded = _SAME_PARTITION_MS / partitions if connections > partitions else 0.0
    shared = _MOST_SHARED_MS if slow else _LEAST_SHARED_MS + crowded
    byte = _MOST_BYTE_MS if slow else _LEAST_BYTE_MS
    milliseconds = alone + wait_ms + (connections - 1) * shared + connections * size * byte
    return 1000 * connections / milliseconds


def _limits(entry: SourceEntry, size: float, measured: Measured) -> list[tuple[float, str]]:
    limits = []
    if size:
        limits.append((_QUOTA_BYTES / size, "rivvend's quota of 50 MiB/s"))
    if entry.rate_limit.events_per_second:
        limits.append((float(entry.rate_limit.events_per_second), "rate_limit.events_per_second"))
    if measured.kafka_per_second is not None:
        limits.append((measured.kafka_per_second, "reading from Kafka"))
    return limits


def _lanes(entry: SourceEntry, loads: Sequence[Load]) -> list[list[float]]:
    """Records of each ordered way to Rivven, by Rivven topic; empty ways are left out."""
    config = entry.config
    total = sum(load.destination_partitions for load in loads)
    each = 1 if config.ordering is Ordering.PARTITION else max(1, config.connections // max(1, total))
    lanes: list[list[float]] = []
    for load in loads:
        if config.partitioning is Partitioning.PRESERVE:
            # Those of several Kafka topics with the same number share one.
            shares = [count for count in load.partitions if count]
            shares = (
                shares
                if len(shares) <= load.destination_partitions
                else _spread(sum(shares), load.destination_partitions)
            )
            ways = each
        else:
            shares, ways = _spread(sum(load.partitions), load.destination_partitions), each
        split = [share / ways for share in shares for _ in range(ways) if share]
        if load.distinct_keys and len(split) > load.distinct_keys and each > 1:
            split = _spread(sum(split), load.distinct_keys)
        lanes.append(split)
    return lanes


def _spread(records: float, ways: int) -> list[float]:
    return [records / ways] * ways if records else []

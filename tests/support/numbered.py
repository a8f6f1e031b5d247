"""Records that carry their place, so that what arrives tells what was lost, doubled or reordered."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass

from rivven_kafka._native import Publisher, RivvenClient, block_from_rows

from tests.support.rivven_wire import RivvenWire, RivvenWireError
from tests.support.rivvend import RivvenBroker
from tests.support.topics import Headers, TopicWriter, create_topic, read_topic

_NUMBER = re.compile(rb"#(\d+):(\d+)#")
Place = tuple[int, int]
"""Partition and sequence number."""

_NOW = 1_760_000_000_000
_BLOCK = 5_000
_LOST_BROKER = (OSError, RivvenWireError)

Rows = list[tuple[int, bytes | None, bytes | None, Headers]]


def numbered(partition: int, sequences: Iterable[int], padding: int = 0, keyed: bool = False) -> Rows:
    """Rows whose value names their partition and sequence number, followed by `padding` bytes.

    The keys of `keyed` rows are all different, so that they spread over the lanes of a partition.
    """
    filler = b"x" * padding
    rows: Rows = []
    for number in sequences:
        place = b"#%d:%d#" % (partition, number)
        rows.append((_NOW, place if keyed else None, place + filler, []))
    return rows


def place_of(value: bytes) -> Place:
    """What `value`, or the event around it, says about its place."""
    match = _NUMBER.search(value)
    assert match is not None, f"not a numbered record: {value[:100]!r}"
    return int(match[1]), int(match[2])


def fill_kafka(bootstrap: str, topic: str, partitions: int, count: int, padding: int = 0) -> None:
    """Creates a Kafka topic with `count` numbered records in each partition."""
    create_topic(bootstrap, topic, partitions)
    with TopicWriter(bootstrap, topic, partitions) as writer:
        for start in range(0, count, _BLOCK):
            for partition in range(partitions):
                writer.write(
                    partition, numbered(partition, range(start, min(start + _BLOCK, count)), padding)
                )


def fill_rivven(
    bootstrap: str, topic: str, partitions: int, count: int, padding: int = 0, lanes: int = 1
) -> None:
    """Creates a Rivven topic with `count` numbered records in each partition.

    They are in order with one lane per partition; more are faster.
    """
    with closing(RivvenClient([bootstrap])) as client:
        client.create_topic(topic, partitions)
    publisher = Publisher([bootstrap], value_format="raw")
    publisher.add_route("numbers", topic, partitions, lanes)
    for partition in range(partitions):
        rows = numbered(partition, range(count), padding, keyed=lanes > 1)
        publisher.submit(block_from_rows("numbers", partition, rows))
    assert publisher.close(120_000), publisher.error()


def rivven_values(rivven: RivvenBroker, topic: str, partitions: int) -> dict[int, list[bytes]]:
    """Every value of a Rivven topic, by partition, in order."""
    with RivvenWire("127.0.0.1", rivven.port) as wire:
        return {
            partition: [record.value for record in wire.read_all(topic, partition)]
            for partition in range(partitions)
        }


def kafka_values(
    bootstrap: str, topic: str, isolation_level: str = "read_uncommitted"
) -> dict[int, list[bytes]]:
    """Every value of a Kafka topic, by partition, in order."""
    rows = read_topic(bootstrap, topic, isolation_level)
    return {partition: [row.value or b"" for row in records] for partition, records in rows.items()}


def rivven_ends(rivven: RivvenBroker, topic: str, partitions: int) -> list[int]:
    """The end of the log of each partition; zeros while there is no topic, or no broker."""
    try:
        with RivvenWire("127.0.0.1", rivven.port) as wire:
            return [wire.offset_bounds(topic, partition)[1] for partition in range(partitions)]
    except _LOST_BROKER:
        return [0] * partitions


@dataclass(frozen=True)
class Arrivals:
    """What became of numbered records.

    Attributes:
        lost: (partition, sequence) of records that never arrived.
        strayed: Records in another partition than their own.
        overtaken: Records whose first arrival comes after that of a successor.
        duplicates: Arrivals beyond the first.
    """

    lost: list[Place]
    strayed: list[Place]
    overtaken: list[Place]
    duplicates: int

    @classmethod
    def of(cls, values: Mapping[int, Iterable[bytes]], partitions: int, count: int) -> Arrivals:
        """Looks at `values` by partition, of which each should hold the sequence numbers below `count`."""
        lost, strayed, overtaken, duplicates = [], [], [], 0
        for partition in range(partitions):
            seen: set[int] = set()
            highest = -1
            for value in values.get(partition, ()):
                home, sequence = place_of(value)
                if home != partition:
                    strayed.append((home, sequence))
                elif sequence in seen:
                    duplicates += 1
                else:
                    seen.add(sequence)
                    if sequence < highest:
                        overtaken.append((home, sequence))
                    highest = max(highest, sequence)
            lost += [(partition, sequence) for sequence in range(count) if sequence not in seen]
        return cls(lost, strayed, overtaken, duplicates)

    def check(self, most_duplicates: int) -> None:
        """Fails unless everything arrived in order, with at most this many duplicates."""
        print(f"{self.duplicates} duplicates, {most_duplicates} allowed")
        assert not self.lost, f"{len(self.lost)} records lost, the first are {self.lost[:10]}"
        assert not self.strayed, f"records in the wrong partition: {self.strayed[:10]}"
        assert not self.overtaken, f"{len(self.overtaken)} overtaken, the first are {self.overtaken[:10]}"
        assert self.duplicates <= most_duplicates, f"{self.duplicates} duplicates, {most_duplicates} allowed"

"""What Kafka has in a stretch of a partition, and whether a source would publish any of it."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import closing
from functools import cached_property
from typing import Any

from rivven_kafka._native import PositionIndex, RecordBlock
from rivven_kafka.config import BrokerConfig, OnTombstone, SourceEntry, transforms_json
from rivven_kafka.pipeline.loop_protection import source_protection
from rivven_kafka.reading.kafka_log import Place, read_between


class KafkaStretches:
    """Reads stretches of Kafka partitions, and remembers what was found.

    Args:
        name: Name of the source.
        entry: Its section.
        broker: How to reach Rivven.
        options: Options of the source's consumer.
    """

    def __init__(
        self, name: str, entry: SourceEntry, broker: BrokerConfig, options: Mapping[str, Any]
    ) -> None:
        self._name = name
        self._entry = entry
        self._broker = broker
        self._options = options
        self._firsts: dict[tuple[Place, int, int], int | None] = {}
        self._published: dict[tuple[Place, int, int], bool] = {}

    def first(self, place: Place, start: int, end: int) -> int | None:
        """The offset of the first record from `start` on, None if there is none before `end`."""
        asked = place, start, end
        if asked not in self._firsts:
            with closing(self._read(*asked)) as blocks:
                self._firsts[asked] = next((block.first_offset for block in blocks if len(block)), None)
        return self._firsts[asked]

    def publishes(self, place: Place, start: int, end: int) -> bool:
        """Whether there is a record that the source publishes, or one that it cannot convert.

        Not those that it leaves out by right: by a filter, as tombstones, or by loop protection.
        """
        asked = place, start, end
        if asked not in self._published:
            index = self._empty_index(place[0])
            with closing(self._read(*asked)) as blocks:
                self._published[asked] = any(_lacks(index, block) for block in blocks)
        return self._published[asked]

    def _read(self, place: Place, start: int, end: int) -> Generator[RecordBlock, None, None]:
        config = self._entry.config
        timeout_s = config.request_timeout_ms / 1000
        return read_between(self._options, {place: (start, end)}, timeout_s, config.max_batch_bytes)

    @cached_property
    def _protection(self) -> dict[str, Any]:
        return source_protection(self._name, self._entry, self._broker)

    def _empty_index(self, topic: str) -> PositionIndex:
        config = self._entry.config
        tombstone = config.on_tombstone
        return PositionIndex(
            self._entry.destination(topic),
            {},
            value_format=config.value_format,
            # Whoever sets tombstones aside does not want them in Rivven.
            on_tombstone="skip" if tombstone is OnTombstone.DEAD_LETTER else tombstone,
            transforms=transforms_json(self._entry.transforms),
            include_headers=config.include_headers,
            include_key=config.include_key,
            **self._protection,
        )


def _lacks(index: PositionIndex, block: RecordBlock) -> bool:
    missing, _, _, _, bad = index.compare(block)
    return len(missing) > 0 or bad > 0

"""Where the positions of a sink lie in Kafka, and who holds them.

A group's coordinator takes offsets of Kafka's own partitions only, so the position of a Rivven partition is
stored as an offset of the destination topic. Every Kafka tool shows it, and it goes with the topic. Its
metadata names the transactional id of the sink that holds the partition; a sink that has let go leaves it
empty.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rivven_kafka.errors import RivvenKafkaError, UnknownTopicError
from rivven_kafka.kafka.admin import describe_topics
from rivven_kafka.kafka.group_offsets import committed_offsets
from rivven_kafka.kafka.groups import group_names
from rivven_kafka.kafka.transactions import Offsets, fence

Partition = tuple[str, int]
"""A Rivven topic and its partition."""
_Place = tuple[str, int]
_FURTHER = re.compile(r".*/(\d+)\.\d+", re.DOTALL)


def place(group: str, topic: str, partition: int, kafka_partitions: int) -> tuple[str, int]:
    """The Kafka group and the partition of the destination topic that hold a position.

    Rivven partitions beyond those of Kafka take further groups. Their names hold the number of Kafka
    partitions, so that a topic that grows never leads to the position of another partition. Neither ':' nor
    '/' occurs in a topic, so no two positions meet.
    """
    name = f"rivven-kafka:{group}:{topic}"
    if partition < kafka_partitions:
        return name, partition
    return f"{name}/{kafka_partitions}.{partition // kafka_partitions}", partition % kafka_partitions


def places(group: str, topic: str, partition: int, kafka_partitions: int) -> Iterator[tuple[str, int]]:
    """Where a position can lie, the latest first: the Kafka topic may have grown since it was stored."""
    if partition < kafka_partitions:
        yield place(group, topic, partition, kafka_partitions)
    for count in range(min(partition, kafka_partitions), 0, -1):
        yield place(group, topic, partition, count)


class KafkaPositions:
    """The positions of one sink in Kafka.

    Args:
        options: Options of kafka-python's clients.
        producer_options: Options of a producer, to fence with.
        transactional_id: The own one.
        group: Consumer group of the sink in Rivven.
        topic: Destination topic in Kafka.
        partitions: Its number of partitions.
        grace_s: How long a holder may take to notice that its partitions go to another, and to let go (s).
            Only then it is taken for dead, or for one that goes on without its group, and fenced. A sink
            waits for a random time between that and twice as long: of several that hold each other's
            partitions, one fences another and goes on, where all would fence each other at once, and again.
        clock: Tells the time (s).
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        producer_options: Mapping[str, Any],
        transactional_id: str,
        group: str,
        topic: str,
        partitions: int,
        grace_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options = options
        self._producer_options = producer_options
        self._id = transactional_id
        self._group = group
        self._topic = topic
        self._partitions = partitions
        self._grace_s = random.uniform(grace_s, 2 * grace_s)
        self._clock = clock
        self._waiting_for: dict[str, float] = {}
        self._groups: frozenset[str] | None = None
        self._counts: list[int] = []

    def take_over(
        self, partitions: Sequence[Partition], beat: Callable[[], bool] = lambda: True
    ) -> dict[Partition, int] | None:
        """The positions of `partitions`, which nobody changes after this: other holders are fenced.

        Args:
            partitions: Rivven topics and partitions.
            beat: Keeps the session of the group in Rivven alive; False when the partitions belong to others.

        Returns:
            The next Rivven offset to read; nothing for a partition without a position in Kafka. None when an
            open transaction has to end first, when a holder still has time to let go, or when another sink
            took a partition over meanwhile, here or in Rivven: ask again.

        Raises:
            RivvenKafkaError: Kafka cannot be reached or refuses, or the topic has another number of
                partitions by now: who knows it looks for positions elsewhere.
        """
        if self._groups is None:
            # Not before the assignment: what others store after that, they do not hold on to.
            self._require_partitions()
            self._find_groups()
        if self._groups is None:
            return None
        found = self._read(partitions, stable=False)
        if found is None:
            return None
        fenced = {holder for _, holder in found.values()} - {"", self._id}
        if not self._had_time(fenced):
            return None
        for holder in sorted(fenced):
            if not beat():
                return None
            fence(self._producer_options, holder)
        found = self._read(partitions, stable=True)
        if found is None or {holder for _, holder in found.values()} - fenced - {"", self._id}:
            return None
        self._groups = None
        return {partition: offset for partition, (offset, _) in found.items()}

    def starts_anew(self) -> None:
        """The assignment changes: counts the time of every holder from its next sight, and looks anew."""
        self._waiting_for.clear()
        self._groups = None

    def _require_partitions(self) -> None:
        topic = describe_topics(self._options, [self._topic]).get(self._topic)
        if topic is None:
            raise UnknownTopicError(f"Kafka topic {self._topic!r} does not exist", topic=self._topic)
        if topic.partitions != self._partitions:
            raise RivvenKafkaError(
                f"the Kafka topic has {topic.partitions} partitions, and had {self._partitions} when the "
                "sink started: it has to start anew",
                topic=self._topic,
            )

    def _find_groups(self) -> None:
        """Finds the groups of all positions: to ask each that could exist takes longer than a session."""
        names = group_names(self._options)
        if names is None:
            return
        self._groups = frozenset(name for name in names if name.startswith(f"rivven-kafka:{self._group}:"))
        found = {int(match[1]) for name in self._groups if (match := _FURTHER.fullmatch(name))}
        self._counts = sorted((count for count in found if 0 < count < self._partitions), reverse=True)

    def _candidates(self, topic: str, partition: int) -> list[_Place]:
        """Those of `places` that can hold a position, the latest first."""
        own = place(self._group, topic, partition, self._partitions)
        others = [place(self._group, topic, partition, count) for count in self._counts if count <= partition]
        return [own, *(other for other in others if other[0] in (self._groups or ()))]

    def _had_time(self, holders: set[str]) -> bool:
        """Whether each of the holders has had its time to let go."""
        now = self._clock()
        self._waiting_for = {holder: self._waiting_for.get(holder, now) for holder in holders}
        return all(now - since >= self._grace_s for since in self._waiting_for.values())

    def offsets(self, positions: Mapping[Partition, int], *, held: bool = True) -> Offsets:
        """What to commit for `positions`: as the holder, or letting go."""
        offsets: dict[str, dict[int, tuple[int, str]]] = {}
        for (topic, partition), offset in positions.items():
            group, kafka_partition = place(self._group, topic, partition, self._partitions)
            offsets.setdefault(group, {})[kafka_partition] = (offset, self._id if held else "")
        return offsets

    def _read(
        self, partitions: Sequence[Partition], *, stable: bool
    ) -> dict[Partition, tuple[int, str]] | None:
        candidates = {partition: self._candidates(*partition) for partition in partitions}
        stored = self._lookup([each for group in candidates.values() for each in group], stable)
        if stored is None:
            return None
        return {
            partition: stored[hit]
            for partition, each in candidates.items()
            if (hit := next((one for one in each if one in stored), None)) is not None
        }

    def _lookup(self, wanted: Sequence[_Place], stable: bool) -> dict[_Place, tuple[int, str]] | None:
        asked = [(group, self._topic, partition) for group, partition in wanted]
        found = committed_offsets(self._options, asked, stable=stable)
        if found is None:
            return None
        return {(group, partition): at for (group, _, partition), at in found.items()}

"""Exactly-once delivery from Kafka to Rivven: the Rivven log decides what is published already."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager

from rivven_kafka._native import Publisher, RecordBlock, RivvenClient, producer_ids
from rivven_kafka.config import KafkaSourceConfig, ValueFormat
from rivven_kafka.errors import ConfigError, RebalanceNeededError, UnknownTopicError
from rivven_kafka.kafka import BlockConsumer, Position
from rivven_kafka.pipeline.anchors import Anchor, Commitment
from rivven_kafka.pipeline.first_positions import first_offsets
from rivven_kafka.pipeline.guarantee import Guarantee, Partition

log = logging.getLogger(__name__)

_COMMIT_TIMEOUT_MS = 10_000
_LEASE_SHARE = 0.9
"""Of the time that the group gives: clocks differ, and the broker counts from before its answer comes."""

_ALIVE_EVERY_S = 1.0
_RENEW_EVERY_S = 5.0
_FAR_BEHIND = 10_000
"""Records of Rivven that the next start would read in vain; it reads some 300,000 in a second."""

Preparation = tuple[str, int, int, list[Anchor] | None]


class ExactlyOnce(Guarantee):
    """Publishes no record that Rivven has, whatever crashed before.

    Nothing that rivvend remembers beside its logs is trusted. Before the first record of a partition is
    published, the Rivven log is read from the anchors that were committed with the position; what is found
    there counts as published. Then the partition is held: a commit names this publisher, so that a successor
    has rivvend refuse its late requests. Publishing goes on while the group counts this process as a member.

    Args:
        name: Name of the source, for logs.
        config: Options of the source.
        consumer: Reads Kafka and commits.
        publisher: Publishes; made with `exactly_once`.
        client: Connection to Rivven.
        destination: The Rivven topic for a Kafka topic.
        preparing: Entered while partitions are prepared, which may take minutes.
    """

    def __init__(
        self,
        name: str,
        config: KafkaSourceConfig,
        consumer: BlockConsumer,
        publisher: Publisher,
        client: RivvenClient,
        destination: Callable[[str], str],
        preparing: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._name = name
        self._config = config
        self._consumer = consumer
        self._publisher = publisher
        self._client = client
        self._destination = destination
        self._preparing = preparing
        self._assigned: set[Partition] = set()
        self._held: dict[Partition, int] = {}
        self._topic_ids: dict[str, str] = {}
        self._started_over: set[Partition] = set()
        # Where reading begins in partitions that are not to wait for their first record.
        self._begun: dict[Partition, int] = {}
        # To be prepared although nothing of them was read.
        self._forced: set[Partition] = set()
        # Sums of the anchors that were committed last.
        self._anchored: dict[Partition, int] = {}
        self._next_renewal = 0.0
        self._renewing = False

    def admit(self, blocks: list[RecordBlock]) -> list[RecordBlock]:
        """The blocks, their partitions prepared; without those of a position in a topic that is gone."""
        asked = self._begun or self._forced
        return blocks if not asked and self._holds(blocks) else self._prepare(blocks)

    def _holds(self, blocks: Iterable[RecordBlock]) -> bool:
        return all((block.topic, block.partition) in self._held for block in blocks)

    def begin(self, starts: Mapping[Partition, int]) -> Mapping[Partition, int]:
        """None of them: the partitions are prepared, and held, at once instead of with their first record."""
        self._begun |= starts
        return {}

    def go_on(self) -> None:
        """Lets the publisher send for as long as the group counts us in."""
        left_ms = self._consumer.session_left_ms(_LEASE_SHARE)
        self._publisher.extend_lease(left_ms)
        now = time.monotonic()
        if now >= self._next_renewal and not self._renewing:
            self._next_renewal = now + _RENEW_EVERY_S
            self._renew()

    def _renew(self) -> None:
        """Commits the anchors of partitions that stand still, before the others leave them far behind."""
        behind = []
        for (topic, partition), offset in self._held.items():
            anchors, _ = self._publisher.anchors(topic, partition, offset) or ([], True)
            now = sum(at for _, _, at in anchors)
            if now - self._anchored.get((topic, partition), 0) >= _FAR_BEHIND:
                behind.append(self._position(topic, partition, offset, held=True))
        if behind:
            self._renewing = True
            self._consumer.commit_async(behind, self._renewed)

    def _renewed(self, error: BaseException | None) -> None:
        self._renewing = False
        if error is not None:
            log.debug("anchors were not committed, will be repeated: %s", error)
            self._anchored.clear()

    def position(self, topic: str, partition: int, offset: int) -> Position:
        """The offset, with the anchors; in the name of this publisher."""
        if (topic, partition) in self._held:
            self._held[topic, partition] = offset
        return self._position(topic, partition, offset, held=True)

    def may_commit(self, partition: Partition) -> bool:
        """Only once it was prepared: what is committed has to name anchors."""
        return partition in self._held

    def prepare_for(self, partitions: Iterable[Partition]) -> None:
        """Those that are not held are prepared at once instead of with their first record."""
        self._forced.update(each for each in partitions if each not in self._held)

    def start_over(self, topic: str) -> None:
        """Nothing to do: what is committed tells the id of the topic that it is about."""

    def last_positions(
        self, moved: Sequence[Position], partitions: Iterable[Partition] | None = None
    ) -> list[Position]:
        """Lets the partitions go: the last positions, without a holder where everything is settled."""
        leaving = set(self._held if partitions is None else partitions)
        kept = [each for each in moved if (each.topic, each.partition) not in leaving]
        return kept + [
            self._position(*partition, self._held[partition], held=False)
            for partition in sorted(leaving)
            if partition in self._held
        ]

    def forget(self, partitions: Iterable[Partition], *, lost: bool) -> None:
        """Drops what is known of the partitions."""
        for partition in partitions:
            self._assigned.discard(partition)
            self._held.pop(partition, None)
            self._anchored.pop(partition, None)
            self._started_over.discard(partition)
            self._begun.pop(partition, None)
            self._forced.discard(partition)
        # Whoever takes them over may shut our producer ids out, which are not made for partitions of Kafka.
        self._publisher.renew_identity()

    def assigned(self, partitions: Iterable[Partition]) -> None:
        """Notes that the partitions are to be prepared."""
        self._assigned.update(partitions)

    def _prepare(self, blocks: list[RecordBlock]) -> list[RecordBlock]:
        new = sorted(self._assigned - set(self._held))
        committed = self._consumer.committed(new)
        for partition in [each for each in self._begun if each in committed or each in self._held]:
            del self._begun[partition]
        if not (self._begun or self._forced) and self._holds(blocks):
            return blocks
        commitments = {each: Commitment.load(metadata) for each, (_, metadata) in committed.items()}
        gone = {each for each in new if self._is_of_another_topic(each, commitments.get(each))}
        if gone:
            log.warning(
                "the topic was deleted and created again since the last commit: reading all of it",
                extra={"connector": self._name, "topic": next(iter(gone))[0]},
            )
            self._consumer.seek_to_beginning(gone)
            self._started_over |= gone
        blocks = [block for block in blocks if (block.topic, block.partition) not in gone]
        starts = {**self._begun, **first_offsets(blocks)}
        work: list[Preparation] = []
        for partition in new:
            commitment = commitments.get(partition)
            start = starts.get(partition)
            if partition in committed and partition not in self._started_over:
                offset = committed[partition][0]
                anchors = self._anchors(partition, commitment)
                if start is not None and start < offset:
                    # Kafka has lost what was committed, and reading has begun anew before it.
                    self._require_event(partition, "reach beyond the end of the topic")
                    offset, anchors = start, None
                work.append((*partition, offset, anchors))
            elif start is not None:
                work.append((*partition, start, None))
        if not work:
            self._forced.clear()
            return blocks
        try:
            with self._preparing():
                self._take_over(work, committed, [each for each in commitments.values() if each is not None])
        except RebalanceNeededError as error:
            log.info("the group has changed, preparing again: %s", error, extra={"connector": self._name})
            for topic, number, offset, _ in work:
                self._publisher.forget(topic, number)
                self._consumer.seek([(topic, number, offset)])
            return [block for block in blocks if (block.topic, block.partition) in self._held]
        return blocks

    def _take_over(
        self,
        work: Sequence[Preparation],
        committed: Mapping[Partition, tuple[int, str]],
        commitments: Iterable[Commitment],
    ) -> None:
        begin = time.monotonic()
        # Kafka takes this from a member only: one that was put out must not shut its successor out.
        self._consumer.commit(
            [Position(*partition, *committed[partition]) for partition in committed], _COMMIT_TIMEOUT_MS
        )
        unsettled = self._shut_out(commitments)
        read, found = self._read_rivven(work, unsettled)
        level = logging.INFO if read else logging.DEBUG
        log.log(
            level,
            "read %d records of Rivven in %.1f s: %d are published already",
            read,
            time.monotonic() - begin,
            found,
            extra={"connector": self._name},
        )
        positions = {(topic, partition): offset for topic, partition, offset, _ in work}
        held = [self._position(*partition, offset, held=True) for partition, offset in positions.items()]
        self._consumer.commit(held, _COMMIT_TIMEOUT_MS)
        self._held.update(positions)
        self._begun.clear()
        self._forced.clear()

    def _read_rivven(self, work: Sequence[Preparation], unsettled: bool) -> tuple[int, int]:
        """Prepares the publisher, which may take minutes without anchors; the group goes on meanwhile."""
        done: list[tuple[int, int]] = []
        failed: list[BaseException] = []

        def read() -> None:
            try:
                done.append(self._publisher.prepare(list(work), unsettled))
            except BaseException as error:
                failed.append(error)

        # A daemon: a long read must not hold up the end of the process.
        reading = threading.Thread(target=read, name=f"{self._name}-prepare", daemon=True)
        reading.start()
        while reading.is_alive():
            reading.join(_ALIVE_EVERY_S)
            self._consumer.note_alive()
        if failed:
            raise failed[0]
        return done[0]

    def _shut_out(self, commitments: Iterable[Commitment]) -> bool:
        """Has rivvend refuse requests of holders that did not let go; True if there are any."""
        ids: set[int] = set()
        for each in commitments:
            if each.identity is not None:
                places = [(each.topic, partition) for partition in each.anchors]
                ids.update(producer_ids(each.identity, places, each.connections))
        self._client.fence(sorted(ids))
        return bool(ids)

    def _anchors(self, partition: Partition, commitment: Commitment | None) -> list[Anchor] | None:
        topic, number = partition
        if commitment is not None and commitment.value_format != self._config.value_format:
            self._require_settled(partition, commitment)
        if commitment is not None and commitment.topic == self._destination(topic):
            return commitment.anchor_list()
        if commitment is not None:
            log.warning(
                "the last commit was for Rivven topic %s: reading all of the new one",
                commitment.topic,
                extra={"connector": self._name, "topic": topic, "partition": number},
            )
            return None
        self._require_event(partition, "were committed without it")
        return None

    def _require_event(self, partition: Partition, why: str) -> None:
        """Refuses raw format where all of Rivven has to be read, which does not tell what is there."""
        topic, number = partition
        if self._config.value_format is ValueFormat.RAW:
            raise ConfigError(
                f"delivery_guarantee: got exactly_once with value_format raw, but the positions of group "
                f"{self._config.consumer_group!r} {why}, and which records of Rivven they cover is not "
                "known: expected another consumer_group, or value_format event",
                topic=topic,
                partition=number,
            )

    def _require_settled(self, partition: Partition, commitment: Commitment) -> None:
        """Refuses another format where records may be in Rivven that only the old one recognises."""
        if commitment.identity is not None:
            topic, number = partition
            raise ConfigError(
                f"value_format: got {self._config.value_format}: expected {commitment.value_format}, as the "
                "source had it when it was last at work and did not stop in order: let it run with that and "
                "stop before the change",
                topic=topic,
                partition=number,
            )

    def _is_of_another_topic(self, partition: Partition, commitment: Commitment | None) -> bool:
        if commitment is None or partition in self._started_over:
            return False
        return commitment.topic_id != self._topic_id(partition[0])

    def _topic_id(self, topic: str) -> str:
        known = self._topic_ids.get(topic)
        if known is None:
            known = self._topic_ids[topic] = topic_id(self._consumer, topic)
        return known

    def _position(self, topic: str, partition: int, offset: int, *, held: bool) -> Position:
        known = self._publisher.anchors(topic, partition, offset)
        if known is None:
            return Position(topic, partition, offset)
        anchors, settled = known
        self._anchored[topic, partition] = sum(at for _, _, at in anchors)
        commitment = Commitment.of(
            self._topic_id(topic),
            self._destination(topic),
            anchors,
            self._config.value_format,
            None if settled and not held else self._publisher.identity(),
            self._config.connections,
        )
        return Position(topic, partition, offset, commitment.dump())


def topic_id(consumer: BlockConsumer, topic: str) -> str:
    """Kafka's id of a topic.

    Raises:
        UnknownTopicError: There is no such topic any more.
        ConfigError: The brokers give topics no ids (before Kafka 2.8).
    """
    found = consumer.topic_id(topic)
    if found is None and not consumer.knows(topic):
        raise UnknownTopicError(f"Kafka topic {topic!r} does not exist any more", topic=topic)
    if found is None:
        raise ConfigError(
            "delivery_guarantee: got exactly_once: expected Kafka 2.8 or later, for ids of topics (KIP-516)",
            topic=topic,
        )
    return found

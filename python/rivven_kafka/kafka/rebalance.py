"""What happens to partitions of a group, on the consumer's side and on its owner's."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from kafka import KafkaConsumer, TopicPartition
from kafka import errors as kafka_errors
from kafka.consumer.subscription_state import AsyncConsumerRebalanceListener
from kafka.structs import OffsetAndMetadata

from rivven_kafka.kafka.gone_topics import GoneTopics, LastOffsets

log = logging.getLogger(__name__)

# What a commit answers when the group has given the partitions to someone else already.
_GONE_ON = (
    kafka_errors.CommitFailedError,
    kafka_errors.FencedInstanceIdError,
    kafka_errors.IllegalGenerationError,
    kafka_errors.RebalanceInProgressError,
    kafka_errors.UnknownMemberIdError,
)


class Position(NamedTuple):
    """What is committed for a partition.

    Attributes:
        topic: Topic.
        partition: Partition.
        offset: Next offset to read.
        metadata: Text that Kafka keeps with it, 4,096 bytes at most by default.
    """

    topic: str
    partition: int
    offset: int
    metadata: str = ""


class RebalanceHandler(Protocol):
    """What the owner of the consumer does when partitions come and go."""

    def revoke(self, partitions: Sequence[tuple[str, int]]) -> bool:
        """Stops work on the partitions; called again (about every 10 ms) until it returns True."""

    def positions(self) -> Sequence[Position]:
        """The positions to commit before the partitions are let go."""

    def committed(self, succeeded: bool) -> None:
        """The commit of `positions` was accepted, or not."""

    def forget(self, partitions: Sequence[tuple[str, int]], *, lost: bool) -> None:
        """Drops all state of the partitions: they belong to someone else now."""

    def assigned(self, partitions: Sequence[tuple[str, int]]) -> None:
        """The partitions are ours from here on."""


class Listener(AsyncConsumerRebalanceListener):  # type: ignore[misc]  # kafka-python is untyped
    """Runs the handler on the consumer's I/O loop without blocking its heartbeats."""

    def __init__(self, consumer: KafkaConsumer, handler: RebalanceHandler, gone: GoneTopics) -> None:
        self._consumer = consumer
        self._handler = handler
        self._gone = gone

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Finishes what is in flight, commits, lets go."""
        revoked = list(revoked)
        partitions = [(tp.topic, tp.partition) for tp in revoked]
        if not partitions:
            return
        while not self._handler.revoke(partitions):
            await self._consumer._net.sleep(0.01)
        self._gone.notice(tp.topic for tp in revoked)
        offsets = LastOffsets(kafka_offsets(self._handler.positions()))
        if offsets:
            succeeded = False
            try:
                await self._consumer._coordinator._commit_offsets_sync_async(offsets)
                succeeded = True
            except _GONE_ON as error:
                log.warning("the group went on without our last positions, records come again: %s", error)
            finally:
                self._handler.committed(succeeded)
        self._handler.forget(partitions, lost=False)
        # kafka-python 3.0 keeps the state of partitions that come back in an eager rebalance: the position
        # of what was fetched (and is dropped now), and a mark that stops fetching for good. Without the old
        # state they start from the committed offset, as in the Java client.
        subscription = self._consumer._subscription
        kept = set(subscription.assigned_partitions()) - set(revoked)
        subscription.assign_from_subscribed(sorted(kept))

    async def on_partitions_lost(self, lost: Iterable[TopicPartition]) -> None:
        """The group has given the partitions away already: a commit would be refused."""
        partitions = [(tp.topic, tp.partition) for tp in lost]
        if partitions:
            self._handler.forget(partitions, lost=True)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Takes the partitions over."""
        self._handler.assigned([(tp.topic, tp.partition) for tp in assigned])


def kafka_offsets(positions: Iterable[Position]) -> dict[TopicPartition, OffsetAndMetadata]:
    """The positions in the form that kafka-python takes."""
    return {
        TopicPartition(topic, partition): OffsetAndMetadata(offset, metadata, -1)
        for topic, partition, offset, metadata in positions
    }

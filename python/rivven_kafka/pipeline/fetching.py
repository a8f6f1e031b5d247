"""When a source fetches from Kafka, and when it only serves its group."""

from __future__ import annotations

from collections.abc import Callable

from rivven_kafka._native import Publisher
from rivven_kafka.kafka import BlockConsumer
from rivven_kafka.pipeline.in_flight import InFlightLimit


class Fetching:
    """Keeps a consumer from fetching while too much is in flight, or while it was told to read nothing.

    Args:
        consumer: The consumer, which is polled all the same, for its group.
        publisher: What it fetches goes here.
        limit: How much of it may be on its way.
        held: Whether it was told to read nothing.
    """

    def __init__(
        self, consumer: BlockConsumer, publisher: Publisher, limit: InFlightLimit, held: Callable[[], bool]
    ) -> None:
        self._consumer = consumer
        self._publisher = publisher
        self._limit = limit
        self._held = held
        self._paused = False

    @property
    def paused(self) -> bool:
        """Whether nothing is fetched, for one of the two reasons."""
        return self._paused

    @property
    def full(self) -> bool:
        """Whether nothing is fetched because too much is in flight."""
        return self._paused and not self._held()

    def adjust(self, wait_ms: int) -> bool:
        """Pauses or resumes the consumer; waits for an answer of Rivven, up to `wait_ms`, while it is full.

        Returns:
            Whether fetching has begun again.
        """
        if self._held():
            # Again and again: a rebalance lets partitions in that are not paused.
            self._consumer.pause()
            self._paused = True
        elif not self._paused:
            if self._limit.is_full(self._publisher):
                self._consumer.pause()
                self._paused = True
        elif self._limit.has_room(self._publisher):
            self._consumer.resume()
            self._paused = False
            return True
        else:
            self._publisher.wait(wait_ms)
        return False

    def assigned(self) -> None:
        """New partitions have come, which are not paused."""
        self._paused = self._held()
        if self._paused:
            # Before the poll under way fetches from them.
            self._consumer.pause()

"""Several batches of a partition on their way at once, and in order all the same.

A producer with idempotence numbers its records, and Kafka refuses a batch whose predecessor is missing
(OUT_OF_ORDER_SEQUENCE_NUMBER) and drops one that it has (KIP-98), so up to five may be on their way. After
trouble with one of them, the partition is *careful*: it waits for the answers to all the others, and then
sends one batch at a time, in order, until all those are stored that were on their way when the trouble began.
What was refused because of its predecessor was not stored, and is numbered anew; what may be stored keeps its
numbers.

While Kafka knows nothing of a producer in a partition, it takes whatever number comes first. So until it has
stored something there, and again when it may have forgotten (`producer.id.expiration.ms`), one batch is on
its way.

Without idempotence, one batch of a partition is on its way at a time.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any

from kafka import TopicPartition
from kafka.producer.producer_batch import ProducerBatch

Place = tuple[int, ...]
"""Where a batch stands among those of its partition; the halves of a batch follow each other in its place."""

_SEQUENCES = 1 << 31
_MOST_IN_FLIGHT = 5
"""So many batches of a producer does Kafka know again."""
_SURELY_KNOWN_S = 3600.0
"""So long after the latest record that it has, Kafka remembers the producer: by default for a day."""


class Order:
    """What may be sent, and with which sequence numbers. Changed by the sender's thread alone.

    Args:
        manager: kafka-python's transaction manager, None without idempotence.
        queues: Batches that wait, by partition.
        connection_limit: Requests that a connection may have on their way.
        clock: Tells the time (s since 1970).
    """

    def __init__(
        self,
        manager: Any,
        queues: MutableMapping[TopicPartition, deque[ProducerBatch]],
        connection_limit: int = _MOST_IN_FLIGHT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.depth = min(connection_limit, _MOST_IN_FLIGHT) if manager else 1
        self._manager = manager
        self._queues = queues
        self._clock = clock
        self._next = 0
        self._sent: dict[TopicPartition, Place] = {}
        self._node: dict[TopicPartition, int] = {}
        self._careful: dict[TopicPartition, Place] = {}
        self._rewound: dict[TopicPartition, Place] = {}
        self._stored: dict[TopicPartition, Place] = {}
        self._known_at: dict[TopicPartition, float] = {}
        self.leader_of: Callable[[TopicPartition], int | None] = lambda tp: self._node.get(tp)
        """The broker that leads a partition now; kafka-python's metadata knows it."""
        self.in_flight: Mapping[TopicPartition, Sequence[Any]] = {}
        """By partition, what is on its way; kafka-python's sender keeps it."""

    def number(self, batch: ProducerBatch) -> None:
        """Gives a new batch its place, behind all others."""
        batch.place, batch.order = (self._next,), self
        self._next += 1

    def __contains__(self, tp: TopicPartition) -> bool:
        """Whether the partition waits for an answer before it sends more; kafka-python calls that muted."""
        count = len(self.in_flight.get(tp, ()))
        if not count:
            return False
        if count >= self.depth or tp in self._careful or not self._is_known(tp):
            return True
        return self.moves(tp, self.leader_of(tp))

    def _is_known(self, tp: TopicPartition) -> bool:
        """Whether Kafka has numbers of this producer there, and so refuses what does not follow."""
        if self._manager.last_acked_offset(tp) < 0:
            return False
        return self._clock() - self._known_at.get(tp, -_SURELY_KNOWN_S) < _SURELY_KNOWN_S

    def stored(self, batch: ProducerBatch) -> None:
        """Kafka has acknowledged a batch."""
        tp = batch.topic_partition
        # Kafka goes by the timestamps of records, which are old in a topic that is restored.
        self._known_at[tp] = min(self._clock(), batch.records.sealed.max_timestamp / 1000)
        self._stored[tp] = max(self._stored.get(tp, batch.place), batch.place)

    def add(self, tp: TopicPartition) -> None:
        """kafka-python mutes a partition: what is in flight tells as much."""

    def discard(self, tp: TopicPartition) -> None:
        """kafka-python takes a partition for ready."""

    def moves(self, tp: TopicPartition, node: int | None) -> bool:
        """Whether another broker has not answered yet: answers of two come in any order."""
        return self._node.get(tp, node) != node and bool(self.in_flight.get(tp))

    def is_careful(self, tp: TopicPartition) -> bool:
        """Whether one batch at a time is sent."""
        return tp in self._careful

    def sends(self, batch: ProducerBatch, node: int) -> None:
        """Notes a batch that has left its queue, with its numbers."""
        tp = batch.topic_partition
        self._node[tp] = node
        self._sent[tp] = max(self._sent.get(tp, batch.place), batch.place)
        until = self._careful.get(tp)
        if until is None:
            return
        self._rewound.pop(tp, None)
        if batch.place > until:
            del self._careful[tp]
            return
        batch.sent_alone = True
        if batch.in_retry() and batch.has_sequence and batch.place > self._stored.get(tp, ()):
            # Who comes next follows this one, whatever was numbered meanwhile; but not one that is stored.
            after = (batch.base_sequence + batch.record_count) % _SEQUENCES
            self._manager.set_sequence_number(tp, after)

    def trouble(self, batch: ProducerBatch) -> None:
        """Something went wrong with a batch: its partition is careful from now on."""
        tp = batch.topic_partition
        if self.depth > 1:
            last = max(self._sent.get(tp, batch.place), batch.place)
            self._careful[tp] = max(self._careful.get(tp, last), last)

    def rewind(self, batch: ProducerBatch) -> None:
        """The numbers of a batch that was not stored are free: who comes next begins with them."""
        tp = batch.topic_partition
        # Of several, the first one counts.
        first = tp not in self._rewound or batch.place < self._rewound[tp]
        if self._manager and batch.has_sequence and first:
            self._manager.set_sequence_number(tp, batch.base_sequence)
            if self.depth > 1:
                self._rewound[tp] = batch.place
        self.trouble(batch)

    def put_back(self, batch: ProducerBatch) -> None:
        """Puts a batch into its queue, at its place. The caller has the lock of the queue."""
        queue = self._queues[batch.topic_partition]
        index = 0
        while index < len(queue) and queue[index].place < batch.place:
            index += 1
        queue.insert(index, batch)

    def only_misses_another(self, batch: ProducerBatch) -> bool:
        """Whether Kafka refused a batch as out of order because of trouble with one before it."""
        until = self._careful.get(batch.topic_partition)
        return (
            until is not None
            and batch.place <= until
            and not batch.sent_alone
            and not batch.may_be_stored
            and batch.final_state is None
        )

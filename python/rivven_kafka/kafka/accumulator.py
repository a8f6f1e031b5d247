"""What waits to be sent: kafka-python's accumulator, with finished batches of ours in its queues."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from kafka import TopicPartition
from kafka import errors as kafka_errors
from kafka.producer.producer_batch import ProducerBatch
from kafka.producer.record_accumulator import RecordAccumulator

from rivven_kafka.kafka.order import Order, Place
from rivven_kafka.kafka.sealed import Records, SealedBatch

Done = Callable[[SealedBatch, TopicPartition, BaseException | None], None]


class _Outcome:
    """In the place of the future of kafka-python's batch, whose event nobody waits for."""

    __slots__ = ("_batch", "is_done")

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self.is_done = False

    def success(self, result: tuple[int, int, Callable[[int], BaseException] | None]) -> None:
        """Tells the batch's owner: kafka-python calls it for every outcome."""
        self.is_done = True
        error_of = result[2]
        batch = self._batch
        batch.on_done(batch.records.sealed, batch.topic_partition, None if error_of is None else error_of(0))


class Batch(ProducerBatch):  # type: ignore[misc]  # kafka-python is untyped
    """A batch for the accumulator.

    Attributes:
        may_be_stored: Whether an attempt to send it may have stored it.
        place: Where it stands among those of its partition.
        sent_alone: Whether it was sent with nothing else of its partition on its way.
        order: Where it is told that it is stored.

    Args:
        tp: Where it goes.
        sealed: Its records.
        done: Called once with its outcome, from the sender thread.
    """

    def __init__(self, tp: TopicPartition, sealed: SealedBatch, done: Done) -> None:
        # Not kafka-python's own: it makes an event and two locks for each batch.
        self.created = self.last_attempt = self.last_append = time.monotonic()
        self.drained: float | None = None
        self.attempts = 0
        self.records = Records(sealed)
        self.topic_partition = tp
        self.max_record_size = sealed.uncompressed_bytes
        self.produce_future = _Outcome(self)
        self._record_futures: list[Any] = []
        self._retry = False
        self._final_state = None
        self.on_done = done
        self.may_be_stored = self.sent_alone = False
        self.place: Place = ()
        self.order: Order | None = None

    def complete(self, base_offset: int, timestamp_ms: int) -> bool:
        """Notes that Kafka has stored it; False if it had an outcome before."""
        if self.order is not None:
            self.order.stored(self)
        first: bool = super().complete(base_offset, timestamp_ms)
        return first


class Accumulator(RecordAccumulator):  # type: ignore[misc]  # kafka-python is untyped
    """Takes whole batches, and splits them natively when the broker finds them too large.

    Args:
        on_split: Called when one batch becomes two.
        connection_limit: Requests that a connection may have on their way.
        **config: Of kafka-python's accumulator.
    """

    def __init__(self, on_split: Callable[[], None], connection_limit: int = 5, **config: Any) -> None:
        super().__init__(**config)
        self._on_split = on_split
        self._draining = -1
        self.order = Order(self._transaction_manager, self._batches, connection_limit)
        # kafka-python asks it whether a partition has to wait.
        self.muted = self.order

    def append_batch(self, batch: ProducerBatch) -> None:
        """Queues a finished batch behind those of its partition."""
        with self._tp_lock(batch.topic_partition):
            if self._closed:
                raise kafka_errors.IllegalStateError("RecordAccumulator is closed")
            self.order.number(batch)
            # Before the sender can see it, and be done with it.
            self._incomplete.add(batch)
            self._batches[batch.topic_partition].append(batch)

    def take(self, tp: TopicPartition, node: int, now: float) -> ProducerBatch | None:
        """The first batch of a partition, on its way to `node` from now on; None if that is not the ordinary.

        What was sent before, and what follows it, is left to kafka-python.
        """
        if self.order.is_careful(tp) or self.order.moves(tp, node):
            return None
        self._draining = node
        manager = self._transaction_manager
        with self._tp_lock(tp):
            queue = self._batches[tp]
            if not queue or queue[0].attempts:
                return None
            batch = queue[0]
            if manager:
                if self._should_stop_drain_batches_for_partition(batch, tp):
                    return None
                state = manager.producer_id_and_epoch
                batch.records.set_producer_state(
                    state.producer_id, state.epoch, manager.sequence_number(tp), manager.is_transactional()
                )
                manager.increment_sequence_number(tp, batch.record_count)
            queue.popleft()
            batch.records.close()
            batch.drained = now
        self.order.sends(batch, node)
        return batch

    def drain_batches_for_one_node(
        self, cluster: Any, node_id: int, max_size: int, now: float | None = None
    ) -> list[ProducerBatch]:
        """As kafka-python's, for what `take` does not."""
        self._draining = node_id
        batches: list[ProducerBatch] = super().drain_batches_for_one_node(cluster, node_id, max_size, now=now)
        for batch in batches:
            self.order.sends(batch, node_id)
        return batches

    def _should_stop_drain_batches_for_partition(self, first: ProducerBatch, tp: TopicPartition) -> bool:
        if self.order.moves(tp, self._draining):
            return True
        stop: bool = super()._should_stop_drain_batches_for_partition(first, tp)
        return stop

    def reenqueue(self, batch: ProducerBatch, now: float | None = None) -> None:
        """Puts a batch that failed back: with the same numbers if it may be stored."""
        batch.retry(now=now)
        if batch.may_be_stored:
            self.order.trouble(batch)
            with self._tp_lock(batch.topic_partition):
                self.order.put_back(batch)
        else:
            self.order.rewind(batch)
            self.number_anew(batch)

    def number_anew(self, batch: ProducerBatch) -> None:
        """Puts a batch back that was not stored."""
        batch.records.reopen()
        batch._retry, batch.drained = False, None
        with self._tp_lock(batch.topic_partition):
            self.order.put_back(batch)

    def abort_waiting(self, error: BaseException) -> None:
        """Ends the batches that are not on the wire: they must not overtake one that was lost."""
        for batch in self._incomplete.all():
            with self._tp_lock(batch.topic_partition):
                try:
                    self._batches[batch.topic_partition].remove(batch)
                except ValueError:
                    # On the wire, or expired: it has an outcome of its own.
                    continue
            batch.abort(error)
            self.deallocate(batch)

    def abort_batches(self, error: BaseException) -> None:
        """Ends every batch, also those on the wire: nothing can be sent any more.

        kafka-python's own ends its thread, and leaves its sockets open, when it comes to a batch that the
        failure of another one has ended already (`abort_waiting`).
        """
        self.abort_waiting(error)
        for batch in self._incomplete.all():
            if not batch.is_done:
                batch.abort(error)
            self.deallocate(batch)

    def split_and_reenqueue(self, batch: ProducerBatch, now: float | None = None) -> int:
        """Puts two halves of `batch` in its place."""
        now = time.monotonic() if now is None else now
        # The broker stored nothing of the batch, so its halves use its sequence numbers.
        self.order.rewind(batch)
        halves = [Batch(batch.topic_partition, half, batch.on_done) for half in batch.records.sealed.split()]
        with self._tp_lock(batch.topic_partition):
            for number, half in enumerate(halves):
                half.place, half.order = (*batch.place, number), batch.order
                half.created = batch.created
                half.attempts = batch.attempts
                half.may_be_stored = batch.may_be_stored
                half.last_attempt = now
                self.order.put_back(half)
                self._incomplete.add(half)
        self._on_split()
        return len(halves)

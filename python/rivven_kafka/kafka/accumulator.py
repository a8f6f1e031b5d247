"""What waits to be sent: kafka-python's accumulator, with finished batches of ours in its queues."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from kafka import TopicPartition
from kafka import errors as kafka_errors
from kafka.producer.producer_batch import ProducerBatch
from kafka.producer.record_accumulator import RecordAccumulator

from rivven_kafka.kafka.sealed import Records, SealedBatch

Done = Callable[[SealedBatch, TopicPartition, BaseException | None], None]


def batch_of(tp: TopicPartition, sealed: SealedBatch, done: Done) -> ProducerBatch:
    """A batch for the accumulator.

    Args:
        tp: Where it goes.
        sealed: Its records.
        done: Called once with its outcome, from the sender thread.
    """
    batch = ProducerBatch(tp, Records(sealed))
    batch.max_record_size = sealed.uncompressed_bytes
    batch.on_done = done
    batch.may_be_stored = False

    def completed(result: tuple[int, int, Callable[[int], BaseException] | None]) -> None:
        error_of = result[2]
        done(sealed, tp, None if error_of is None else error_of(0))

    batch.produce_future.add_callback(completed)
    return batch


class Accumulator(RecordAccumulator):  # type: ignore[misc]  # kafka-python is untyped
    """Takes whole batches, and splits them natively when the broker finds them too large."""

    def __init__(self, on_split: Callable[[], None], **config: Any) -> None:
        super().__init__(**config)
        self._on_split = on_split

    def append_batch(self, batch: ProducerBatch) -> None:
        """Queues a finished batch behind those of its partition."""
        with self._tp_lock(batch.topic_partition):
            if self._closed:
                raise kafka_errors.IllegalStateError("RecordAccumulator is closed")
            self._batches[batch.topic_partition].append(batch)
        self._incomplete.add(batch)

    def take(self, tp: TopicPartition, now: float) -> ProducerBatch | None:
        """The first batch of a partition, on its way from now on; None if it has to wait.

        For batches that were not sent before: others wait for kafka-python to send them again.
        """
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
            return batch

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
        """Puts two halves of `batch` at the front of its queue."""
        now = time.monotonic() if now is None else now
        if self._transaction_manager and batch.has_sequence:
            # The broker stored nothing of the batch, so its halves use its sequence numbers.
            self._transaction_manager.set_sequence_number(batch.topic_partition, batch.base_sequence)
        halves = [
            batch_of(batch.topic_partition, half, batch.on_done) for half in batch.records.sealed.split()
        ]
        with self._tp_lock(batch.topic_partition):
            for half in reversed(halves):
                half.created = batch.created
                half.attempts = batch.attempts
                half.may_be_stored = batch.may_be_stored
                half.last_attempt = now
                self._batches[batch.topic_partition].appendleft(half)
                self._incomplete.add(half)
        self._on_split()
        return len(halves)

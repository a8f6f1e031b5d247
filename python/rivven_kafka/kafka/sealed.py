"""Record batches that were encoded natively, as kafka-python's producer looks at them."""

from __future__ import annotations

from typing import Any, Protocol

from kafka import errors as kafka_errors

from rivven_kafka._native import BadRecord

_LIMITS: dict[type[BaseException], str] = {
    kafka_errors.MessageSizeTooLargeError: "max.message.bytes",
    kafka_errors.RecordListTooLargeError: "segment.bytes",
}
"""Options of a Kafka topic that say how large a batch may be, by the error of one that is larger."""

_AFTER_APPEND = (
    kafka_errors.RequestTimedOutError,
    kafka_errors.NotEnoughReplicasAfterAppendError,
    kafka_errors.KafkaStorageError,
)
"""Errors of a leader that may have appended the batch, whatever offset it names."""


class SealedBatch(Protocol):
    """A finished record batch, as the native encoders hand it out."""

    @property
    def partition(self) -> int:
        """Kafka partition."""

    @property
    def record_count(self) -> int:
        """Records in the batch."""

    @property
    def size_bytes(self) -> int:
        """Bytes of the encoded batch."""

    @property
    def uncompressed_bytes(self) -> int:
        """Bytes of the batch before compression."""

    @property
    def max_timestamp(self) -> int:
        """Of its records, the latest one's (ms since 1970)."""

    def build(self, producer_id: int, producer_epoch: int, base_sequence: int, transactional: bool) -> bytes:
        """The batch with the producer's state and its checksum."""

    def split(self) -> tuple[SealedBatch, SealedBatch]:
        """The batch in two halves."""

    @property
    def first_record(self) -> tuple[str, int, int]:
        """Where its first record was read: topic, partition, offset."""

    def refuse(self, reason: str) -> BadRecord:
        """The only record of the batch, which Kafka will never take."""

    def acknowledge(self) -> None:
        """The batch is stored by Kafka."""


class Records:
    """kafka-python's `MemoryRecordsBuilder`, around a batch that is complete already."""

    def __init__(self, sealed: SealedBatch) -> None:
        self.sealed = sealed
        self.producer_id = -1
        self.producer_epoch = -1
        self.base_sequence = -1
        self._transactional = False
        self._closed = False

    def set_producer_state(
        self, producer_id: int, producer_epoch: int, base_sequence: int, is_transactional: bool
    ) -> None:
        """Takes the sequence number that the accumulator assigns while draining."""
        if self._closed:
            # A retried batch must keep its sequence, or the broker could store it twice.
            raise kafka_errors.IllegalStateError("producer state of a closed batch must not change")
        self.producer_id = producer_id
        self.producer_epoch = producer_epoch
        self.base_sequence = base_sequence
        self._transactional = is_transactional

    def close(self) -> None:
        """Fixes the producer state; the records were encoded before."""
        self._closed = True

    def reopen(self) -> None:
        """Takes the producer state back: the batch is not stored, and will be numbered anew."""
        self.producer_id = self.producer_epoch = self.base_sequence = -1
        self._closed = False

    def buffer(self) -> bytes:
        """The bytes for the produce request."""
        assert self._closed
        return self.sealed.build(
            self.producer_id, self.producer_epoch, self.base_sequence, self._transactional
        )

    def size_in_bytes(self) -> int:
        """Bytes of the batch on the wire."""
        return self.sealed.size_bytes

    def compression_rate(self) -> float:
        """Compressed to uncompressed size."""
        return self.sealed.size_bytes / self.sealed.uncompressed_bytes

    def is_full(self) -> bool:
        """Always: linger has passed before a batch comes here."""
        return True

    def next_offset(self) -> int:
        """Records in the batch."""
        return self.sealed.record_count


def too_large(sealed: SealedBatch, topic: str, error: BaseException) -> str | None:
    """What to tell about a batch with one record when its size is what Kafka refused; else None."""
    limit = _LIMITS.get(type(error))
    if limit is None or sealed.record_count != 1:
        return None
    return (
        f"Kafka topic {topic!r} does not take a record of {sealed.size_bytes} bytes "
        f"({type(error).__name__}): its option {limit} is smaller"
    )


def may_be_stored(error: BaseException, answer: Any) -> bool:
    """Whether Kafka may hold a batch although the attempt to send it ended with an error.

    Args:
        error: What the attempt ended with.
        answer: What the leader said of the partition; None if it did not answer.
    """
    # An offset says that the batch was appended, and waits for its replicas.
    return answer is None or answer.base_offset >= 0 or isinstance(error, _AFTER_APPEND)

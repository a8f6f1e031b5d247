"""The batch producer with Kafka transactions: nothing here waits, except where it says so.

kafka-python's own `commit_transaction` and its kin wait for ever when Kafka is away, so its transaction
manager is used directly. `tests/unit/kafka/test_transaction_seams.py` fails when the seam moves.
"""

from __future__ import annotations

import contextlib
import heapq
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from kafka import TopicPartition
from kafka import errors as kafka_errors
from kafka.producer.transaction_manager import EndTxnHandler
from kafka.structs import OffsetAndMetadata

from rivven_kafka.errors import FencedError, RivvenKafkaError
from rivven_kafka.kafka.producer import BatchProducer

Offsets = Mapping[str, Mapping[int, tuple[int, str]]]
"""By consumer group and partition: the offset to commit and its metadata."""

# Kafka finishes a transaction after it has answered, and refuses the next one until then (a few ms).
# kafka-python waits `retry_backoff_ms` before it asks again, and sends nothing meanwhile.
_BACKOFF_MS = 5
_POLL_S = 0.001


def begin_abort(manager: Any) -> Any:
    """Begins to abort the transaction of a manager of kafka-python, and returns its result.

    The end that `commit` has left waiting behind the offsets is taken back first. If they were refused, the
    error holds it; but the abort ends the error, and that commit would go before it: without the offsets.
    """
    with manager._lock:
        waiting = manager._pending_requests
        waiting[:] = [each for each in waiting if not isinstance(each[2], EndTxnHandler)]
        heapq.heapify(waiting)
        return manager.begin_abort()


class TransactionalProducer(BatchProducer):
    """Sends finished record batches in transactions, one transaction at a time.

    Making one fences every other producer with the same transactional id, and ends what they left open.

    Args:
        options: Options of `kafka.KafkaProducer`, `transactional_id` among them.
        on_delivery: Called with the records and bytes of every batch of a committed transaction.
        keep_refused: As for `BatchProducer`.

    Raises:
        ConfigError: The options cannot work, whatever the brokers do.
        ConnectError: No bootstrap broker answers within the request timeout.
        AuthenticationError: The brokers do not accept the credentials.
        AuthorizationError: The user may not use the transactional id.
        TimeoutExpired: The coordinator has not answered within `max_block_ms`.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        on_delivery: Callable[[int, int], None] = lambda *_: None,
        *,
        keep_refused: bool = False,
    ) -> None:
        self._stored: list[tuple[int, int]] = []
        self._stored_lock = threading.Lock()
        self._report = on_delivery
        self._id = options["transactional_id"]
        self._ending: Any = None
        self._offsets: list[tuple[str, str, Mapping[int, tuple[int, str]]]] = []
        self._sent: Any = None
        self._coordinators: dict[str, Any] = {}
        super().__init__(options, self._keep, keep_refused=keep_refused)
        self._manager = self._producer._transaction_manager
        # After a sequence error kafka-python asks for a newer epoch, and where that is refused for a new id:
        # a producer that was fenced would fence its successor. Such errors end this producer instead.
        self._manager._supports_epoch_bump = lambda: False
        self._producer._sender.config["retry_backoff_ms"] = _BACKOFF_MS
        try:
            self._producer.init_transactions()
        except kafka_errors.KafkaError as error:
            self.close(0.0)
            raise self._failure(error, f"cannot begin with transactional_id {self._id!r}") from error

    def _keep(self, records: int, size: int) -> None:
        with self._stored_lock:
            self._stored.append((records, size))

    def check(self) -> None:
        """Raises the first delivery failure.

        Raises:
            DeliveryError: A batch was refused for good, or its retries or time ran out.
            FencedError: Another producer has taken over.
        """
        if isinstance(self._error, FencedError):
            raise self._failure(self._error, "Kafka did not take a batch") from self._error
        super().check()

    def begin(self) -> None:
        """Begins a transaction; Kafka hears of it with the first batch or offset."""
        self.check()
        with self._translated("cannot begin a transaction"):
            self._manager.begin_transaction()

    def _before_send(self, tp: TopicPartition) -> None:
        with self._translated("Kafka did not take a batch"):
            self._manager.maybe_add_partition_to_transaction(tp)

    def stage(self, topic: str, offsets: Offsets, timeout_s: float) -> bool:
        """Puts offsets into the transaction, which stays open, and waits for Kafka to have them.

        From then on until its end, who asks for stable offsets of these partitions is told to wait.

        Returns:
            False if that takes longer than `timeout_s`; the transaction has to be aborted then, as after an
            error.

        Raises:
            FencedError: Another producer has taken over.
            BrokerError: Kafka refused.
        """
        self.check()
        self._offsets = [(group, topic, each) for group, each in offsets.items() if each]
        deadline = time.monotonic() + timeout_s
        with self._translated("cannot add offsets to a transaction"):
            while self._offsets:
                self._send_next()
                self._producer._sender.wakeup()
                while not self._taken():
                    if time.monotonic() >= deadline:
                        return False
                    time.sleep(_POLL_S)
        return True

    def commit(self, topic: str = "", offsets: Offsets | None = None) -> None:
        """Starts to commit the transaction; `committed` tells when it is done.

        Args:
            topic: Topic of the partitions in `offsets`.
            offsets: What to commit with it.
        """
        assert self._ending is None, "a commit is under way"
        assert not self.in_flight, "batches without an outcome could be missing in the transaction"
        self.check()
        self._offsets = [(group, topic, each) for group, each in (offsets or {}).items() if each]
        self._go_on()

    def committed(self) -> bool:
        """Whether the transaction that `commit` ends is committed.

        Delivery guarantee: after True, the batches and offsets of the transaction are visible together; after
        an error, all or none of them, and the committed offsets tell which.

        Raises:
            FencedError: Another producer has taken over.
            BrokerError: Kafka refused; the transaction has to be aborted.
        """
        with self._translated("cannot commit a transaction"):
            if self._sent is not None:
                if not self._taken():
                    return False
                if self._ending is None:
                    self._go_on()
                    return False
            if self._ending.failed:
                raise self._ending.exception
            if not self._ending.is_done:
                return False
        self._ending = None
        self._report_stored()
        return True

    def _go_on(self) -> None:
        """Sends the offsets of the next group, and after the last one the end of the transaction.

        One group at a time, because the manager keeps the offsets of all groups in one place.
        """
        with self._translated("cannot commit a transaction"):
            if self._offsets:
                self._send_next()
            if not self._offsets:
                # Its priority in the manager is below that of the offsets: no need to wait for them.
                self._ending = self._manager.begin_commit()
        self._producer._sender.wakeup()

    def _send_next(self) -> None:
        """Sends the offsets of the next group."""
        self._group, topic, offsets = self._offsets.pop(0)
        self._manager._consumer_group_coordinator = self._coordinators.get(self._group)
        self._sent = self._manager.send_offsets_to_transaction(
            {
                TopicPartition(topic, partition): OffsetAndMetadata(offset, metadata, -1)
                for partition, (offset, metadata) in offsets.items()
            },
            self._group,
        )

    def _taken(self) -> bool:
        """Whether Kafka has the offsets that were sent last."""
        if self._sent.failed:
            raise self._sent.exception
        if not self._sent.is_done:
            return False
        # The manager knows one group coordinator only: it would ask for it anew at each group.
        self._coordinators[self._group] = self._manager._consumer_group_coordinator
        self._sent = None
        return True

    def wait_committed(self, timeout_s: float) -> bool:
        """Waits for `committed`, at most `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while not self.committed():
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_S)
        return True

    def abort(self, timeout_s: float) -> bool:
        """Aborts the transaction and waits for it, at most `timeout_s`; False if that was not possible.

        A transaction that is left open is aborted by the next producer with the same id, or by Kafka after
        `transaction_timeout_ms`.
        """
        with self._stored_lock:
            self._stored.clear()
        self._offsets, self._sent, self._ending = [], None, None
        try:
            result = begin_abort(self._manager)
            self._producer._sender.wakeup()
            return bool(result.wait(timeout_ms=timeout_s * 1000))
        except kafka_errors.KafkaError:
            return False

    def _report_stored(self) -> None:
        with self._stored_lock:
            stored, self._stored = self._stored, []
        for records, size in stored:
            self._report(records, size)

    @contextlib.contextmanager
    def _translated(self, context: str) -> Iterator[None]:
        try:
            yield
        except kafka_errors.KafkaError as error:
            # "We are in an error state" says less than the error that led there.
            cause = self._manager.last_error or error
            raise self._failure(cause, context) from error

    def _failure(self, error: BaseException, context: str) -> RivvenKafkaError:
        failure = self._translate(error, context)
        if isinstance(failure, FencedError):
            return FencedError(
                f"{context}: another process uses transactional_id {self._id!r} or has taken over its "
                "partitions, or the transaction was open for longer than Kafka allows",
                code=failure.code,
            )
        return failure


def fence(options: Mapping[str, Any], transactional_id: str) -> None:
    """Ends the open transaction of another producer, and all it could still do.

    Raises:
        ConnectError: Kafka cannot be reached.
        AuthorizationError: The user may not use that transactional id.
        TimeoutExpired: The coordinator has not answered in time.
    """
    TransactionalProducer({**options, "transactional_id": transactional_id}).close(0.0)

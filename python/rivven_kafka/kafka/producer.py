"""kafka-python's producer, sending record batches that were encoded natively.

The seam is the accumulator: its per-partition queues take finished `ProducerBatch`es, whose records object is
ours. Acknowledgements, retries, idempotence and transactions stay kafka-python's.
`tests/unit/kafka/test_producer_seams.py` fails when the seam moves.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from kafka import KafkaProducer, TopicPartition
from kafka import errors as kafka_errors
from kafka.producer.producer_batch import ProducerBatch

from rivven_kafka._native import BadRecord
from rivven_kafka.errors import (
    AuthenticationError,
    DeliveryError,
    RecordTooLargeError,
    RivvenKafkaError,
    UnknownTopicError,
)
from rivven_kafka.kafka.accumulator import Accumulator, Batch
from rivven_kafka.kafka.connect import connected
from rivven_kafka.kafka.errors import translate
from rivven_kafka.kafka.sealed import SealedBatch, may_be_stored, too_large
from rivven_kafka.kafka.sending import Sending

# The sender wakes up at once; only a connection attempt under way can hold it longer.
_JOIN_TIMEOUT_S = 2.0
_ASK_S = 1.0


class BatchProducer:
    """Sends finished record batches; the order within a partition is kept.

    Args:
        options: Options of `kafka.KafkaProducer`; serializers, compression and batching are not used.
        on_delivery: Called from the sender thread with the records and bytes of every batch that Kafka has
            stored.
        keep_refused: Whether a record that is too large for Kafka goes to `take_refused` and the others go
            on; else it is a delivery failure.

    Raises:
        ConfigError: The options cannot work, whatever the brokers do.
        ConnectError: No bootstrap broker answers within the request timeout.
        AuthenticationError: The brokers do not accept the credentials.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        on_delivery: Callable[[int, int], None] = lambda *_: None,
        *,
        keep_refused: bool = False,
    ) -> None:
        self._keep_refused = keep_refused
        self._translate = partial(
            translate,
            right="WRITE",
            user=options.get("sasl_plain_username"),
            transactional_id=options.get("transactional_id"),
        )
        self._refused: list[BadRecord] = []
        self._brokers = ",".join(options["bootstrap_servers"])
        self._on_delivery = on_delivery
        self._error: RivvenKafkaError | None = None
        self._lock = threading.Lock()
        self._in_flight = 0
        self._retries = 0
        self._known_topics: set[str] = set()
        try:
            self._producer = connected(KafkaProducer, {**options, "metrics_enabled": False})
        except kafka_errors.KafkaError as error:
            raise translate(error, f"cannot connect to Kafka at {self._brokers}") from error
        self._connections = self._producer._sender._client._manager
        self._install()

    def _install(self) -> None:
        theirs = self._producer._accumulator
        limit = self._producer.config["max_in_flight_requests_per_connection"]
        ours = Accumulator(self._count_split, limit, **theirs.config)
        self._accumulator = ours
        self._producer._accumulator = ours
        sender = self._producer._sender
        sender._accumulator = ours
        ours.order.in_flight = sender._in_flight_batches
        ours.order.leader_of = sender._metadata.leader_for_partition
        # Also without idempotence: no retry may overtake its successor.
        sender.config["guarantee_message_order"] = True
        sender._record_retries = self._count_retry
        if sender.config["acks"] != 0:
            # Without answers there is nothing to make short.
            sender._send_producer_data = Sending(sender, ours).send
        sender._dispatch_error = partial(self._dispatch_error, sender, sender._dispatch_error)

    def _dispatch_error(
        self,
        sender: Any,
        theirs: Callable[..., None],
        batch: ProducerBatch,
        exception: BaseException,
        partition_response: Any,
    ) -> None:
        """Takes a record that is too large out of the way before kafka-python makes it a failure.

        kafka-python has split the batch until it is alone by then.
        """
        out_of_order = isinstance(exception, kafka_errors.OutOfOrderSequenceNumberError)
        if out_of_order and self._accumulator.order.only_misses_another(batch):
            sender._maybe_remove_from_inflight_batches(batch)
            self._accumulator.number_anew(batch)
            return
        sealed, tp = batch.records.sealed, batch.topic_partition
        reason = too_large(sealed, tp.topic, exception) if self._keep_refused else None
        # The sequence number of one that is stored would be used twice, and Kafka would take the next record
        # for that one.
        unknown = batch.has_sequence and batch.may_be_stored
        if reason is None or batch.final_state is not None or unknown:
            batch.may_be_stored |= may_be_stored(exception, partition_response)
            theirs(batch, exception, partition_response=partition_response)
            return
        self._accumulator.order.rewind(batch)
        sender._maybe_remove_from_inflight_batches(batch)
        self._accumulator.deallocate(batch)
        with self._lock:
            self._refused.append(sealed.refuse(reason))
            self._in_flight -= 1

    def _count_retry(self, batch: ProducerBatch) -> None:
        with self._lock:
            self._retries += 1

    def _count_split(self) -> None:
        # Two halves report an outcome where one batch was sent.
        with self._lock:
            self._in_flight += 1

    def partitions(self, topic: str) -> set[int]:
        """The partition numbers of `topic`.

        Raises:
            UnknownTopicError: The topic does not exist.
        """
        try:
            return set(self._producer.partitions_for(topic))
        except kafka_errors.KafkaError as error:
            context = f"cannot read metadata of topic {topic!r}"
            raise self._translate(error, context, topic=topic) from error

    def send(self, topic: str, batches: Sequence[SealedBatch]) -> None:
        """Queues batches for their partitions. Their outcomes reach `on_delivery`, or `check` raises."""
        self.check()
        if topic not in self._known_topics:
            # The sender waits for the leader of a topic that it was never told about, for ever.
            self.partitions(topic)
            self._known_topics.add(topic)
        places: dict[int, TopicPartition] = {}
        wakes = False
        for sealed in batches:
            tp = places.get(sealed.partition)
            if tp is None:
                if wakes:
                    # It need not wait until the other partitions have theirs.
                    self._producer._sender.wakeup()
                tp = places[sealed.partition] = TopicPartition(topic, sealed.partition)
                self._before_send(tp)
            with self._lock:
                # Again, under the lock: no batch may slip in behind `abort_waiting`.
                self.check()
                self._in_flight += 1
                self._accumulator.append_batch(Batch(tp, sealed, self._done))
            # The answer that a partition waits for wakes the sender, which then finds this batch.
            wakes |= tp not in self._accumulator.muted
        if wakes:
            self._producer._sender.wakeup()

    def _before_send(self, tp: TopicPartition) -> None:
        """What a producer with transactions adds."""

    def _done(self, sealed: SealedBatch, tp: TopicPartition, error: BaseException | None) -> None:
        if error is None:
            sealed.acknowledge()
            self._on_delivery(sealed.record_count, sealed.size_bytes)
        else:
            failure = self._failure_of(sealed, tp, error)
            with self._lock:
                first, self._error = self._error is None, self._error or failure
            if first:
                # kafka-python would go on with the next batch of the partition, out of order.
                self._accumulator.abort_waiting(error)
        with self._lock:
            self._in_flight -= 1

    def _failure_of(self, sealed: SealedBatch, tp: TopicPartition, error: BaseException) -> RivvenKafkaError:
        reason = too_large(sealed, tp.topic, error)
        if reason is None:
            gone = self._gone(tp.topic, tp.partition)
            if isinstance(error, kafka_errors.KafkaTimeoutError) and gone is not None:
                return gone
            context = "Kafka did not take a batch"
            return self._translate(error, context, topic=tp.topic, partition=tp.partition)
        topic, number, offset = sealed.first_record
        return RecordTooLargeError(
            f"{reason}; raise it, or let on_error skip such records or send them to the dead letter topic",
            code=type(error).__name__,
            topic=topic,
            partition=number,
            offset=offset,
        )

    def check(self) -> None:
        """Raises the first delivery failure.

        Raises:
            AuthenticationError: A broker does not accept the credentials any more.
            DeliveryError: A batch was refused for good, or its retries or time ran out.
        """
        refused = self._connections.refusal
        if refused is not None:
            raise AuthenticationError(
                f"cannot write to Kafka at {self._brokers}: {refused}", code=refused.code
            ) from refused
        if self._error is not None:
            raise DeliveryError(
                str(self._error.args[0]),
                code=self._error.code,
                topic=self._error.topic,
                partition=self._error.partition,
                offset=self._error.offset,
            ) from self._error

    @property
    def in_flight(self) -> int:
        """Batches without an outcome."""
        return self._in_flight

    def take_retries(self) -> int:
        """Batches that were sent again since the last call."""
        with self._lock:
            retries, self._retries = self._retries, 0
        return retries

    def _gone(self, topic: str, partition: int | None = None) -> UnknownTopicError | None:
        """What to tell when the metadata at hand do not know a topic that was there."""
        known = self._producer._metadata.partitions_for_topic(topic)
        if not known:
            return UnknownTopicError(f"Kafka topic {topic!r} does not exist any more", topic=topic)
        if partition is not None and partition not in known:
            return UnknownTopicError(
                f"partition {partition} of Kafka topic {topic!r} does not exist any more", topic=topic
            )
        return None

    def ask_metadata(self) -> Any:
        """Asks the brokers what there is; returns kafka-python's future of the answer."""
        update = self._producer._metadata.request_update()
        self._producer._sender.wakeup()
        return update

    def ask_whether_gone(self, topic: str) -> UnknownTopicError | None:
        """An error if Kafka answers within a second, and does not know the topic any more."""
        update = self.ask_metadata()
        deadline = time.monotonic() + _ASK_S
        while not update.is_done and time.monotonic() < deadline:
            time.sleep(0.01)
        return self._gone(topic) if update.is_done else None

    def take_refused(self) -> list[BadRecord]:
        """Records that are too large for Kafka, since the last call; with `keep_refused`."""
        if not self._refused:
            return []
        with self._lock:
            refused, self._refused = self._refused, []
        return refused

    def flush(self, timeout_s: float) -> bool:
        """Waits until every batch has its outcome; False when `timeout_s` has passed before.

        Delivery guarantee: after True, every batch sent before is stored by Kafka as `acks` asks, or `check`
        raises.
        """
        deadline = time.monotonic() + timeout_s
        while self._in_flight:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.002)
        return True

    def close(self, timeout_s: float = 5.0) -> None:
        """Closes the connections; batches without an outcome after `timeout_s` fail."""
        # kafka-python's own close raises when batches are left, and then leaves its thread running.
        sender = self._producer._sender
        if self.flush(timeout_s):
            sender.initiate_close()
        else:
            sender.force_close()
        sender.join(_JOIN_TIMEOUT_S)
        self._producer._unregister_cleanup()
        self._producer._closed = True

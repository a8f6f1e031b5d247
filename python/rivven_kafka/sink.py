"""KafkaSink: events into a Kafka topic, from any Python program."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from rivven_kafka._events import SourceEvent, rows
from rivven_kafka._native import BadRecord, Histogram, KafkaSinkMetrics, SinkEncoder, block_from_rows
from rivven_kafka.checks import CheckResult, Step, run_checks
from rivven_kafka.config import Acks, KafkaSinkConfig, OnError, OnMissingKeyField
from rivven_kafka.errors import (
    ConfigError,
    DeliveryError,
    RivvenKafkaError,
    TimeoutExpired,
    UnknownTopicError,
)
from rivven_kafka.kafka import BatchProducer, TransactionalProducer, admin_options, passed_options
from rivven_kafka.kafka.admin import TopicDescription, describe_topics
from rivven_kafka.kafka.cluster_check import ClusterCheck, Groups, TopicSelection

# Kafka aborts a transaction that is open for longer: so long its readers may wait for a dead process.
_TRANSACTION_TIMEOUT_MS = 60_000
_ABORT_TIMEOUT_S = 5.0
_ACKS = {Acks.NONE: 0, Acks.LEADER: 1, Acks.ALL: -1}


def producer_options(config: KafkaSinkConfig, name: str) -> dict[str, Any]:
    """Options of kafka-python's producer for `config`.

    Args:
        config: The sink's options.
        name: Client id, where the configuration gives none.
    """
    options = admin_options(config, name) | {
        "acks": _ACKS[config.acks],
        "retries": config.retries,
        "retry_backoff_ms": config.retry_backoff_ms,
        "delivery_timeout_ms": config.delivery_timeout_ms,
        "max_request_size": config.effective_max_request_size,
        "max_block_ms": config.request_timeout_ms,
        "enable_idempotence": config.effective_idempotent,
        "allow_auto_create_topics": False,
    }
    if config.transactional_id is not None:
        options |= {
            "transactional_id": config.transactional_id,
            "transaction_timeout_ms": _TRANSACTION_TIMEOUT_MS,
        }
    return options | passed_options(config.kafka_options)


def sink_steps(
    config: KafkaSinkConfig, name: str, positions: Callable[[ClusterCheck], Groups] | None = None
) -> tuple[ClusterCheck, list[Step]]:
    """What a check of a sink tries on Kafka's side, and what it finds there.

    The steps are `config` (certificate files), `connectivity` (TCP), `authentication`, `topic`, and
    `authorization`: WRITE and DESCRIBE on the topic, WRITE on the transactional id. Since Kafka 3.0, WRITE on
    a topic is all that `idempotent` needs (KIP-679).

    Args:
        config: The sink's options.
        name: Client id, where the configuration gives none.
        positions: For a sink that keeps its positions in Kafka, as a connector with a transactional id does:
            finds the groups that hold them. It needs READ on these, and on the topic.
    """
    selection = TopicSelection(
        (config.topic,), lambda topic: topic == config.topic, f"topic {config.topic!r}"
    )
    cluster = ClusterCheck(admin_options(config, name, ask_aws=False), config.security, selection)
    authorization = cluster.authorization(
        ("WRITE", "DESCRIBE") if positions is None else ("WRITE", "DESCRIBE", "READ"),
        groups=dict if positions is None else lambda: positions(cluster),
        transactional_id=config.transactional_id,
    )
    return cluster, [*cluster.steps(), authorization]


def find_topic(config: KafkaSinkConfig, name: str) -> TopicDescription:
    """The Kafka topic that the sink writes.

    Raises:
        UnknownTopicError: It does not exist.
        ConnectError: Kafka cannot be reached.
        AuthenticationError: Kafka does not accept the credentials.
    """
    topic = describe_topics(admin_options(config, name)).get(config.topic)
    if topic is None:
        message = f"Kafka topic {config.topic!r} does not exist"
        if config.security.sasl_username is not None:
            # Kafka does not tell what it hides.
            message += f", or user {config.security.sasl_username!r} needs WRITE on topic {config.topic!r}"
        raise UnknownTopicError(message, topic=config.topic)
    return topic


def sink_encoder(
    config: KafkaSinkConfig,
    partitions: int,
    *,
    on_bad: str | None = None,
    transforms: str = "[]",
    latencies: Histogram | None = None,
    loop_protection: tuple[str, str, str] | None = None,
) -> SinkEncoder:
    """The native encoder for a sink.

    Args:
        config: The sink's options.
        partitions: Partitions of the Kafka topic.
        on_bad: What to do with a record that cannot be encoded: fail, skip or hold; `on_error` if None.
        transforms: The steps that every record goes through, as JSON.
        latencies: Takes how old records are when Kafka has stored them (ms).
        loop_protection: Names of the clusters to read from and to write to, and the Kafka topic.
    """
    return SinkEncoder(
        partitions,
        value_format=config.value_format,
        partitioning=config.effective_partitioning,
        key_field=config.key_field,
        key_field_required=config.on_missing_key_field is OnMissingKeyField.ERROR,
        include_headers=config.include_headers,
        custom_headers=list(config.custom_headers.items()),
        compression=config.compression,
        batch_size_bytes=config.batch_size_bytes,
        on_bad=on_bad or config.on_error,
        transforms=transforms,
        latencies=latencies,
        loop_protection=loop_protection,
    )


@dataclass(frozen=True)
class WriteResult:
    """What became of the events of one `KafkaSink.write`.

    Attributes:
        written: Events that Kafka has stored.
        bytes: Bytes of the record batches that hold them.
        failed: Events that were not stored, or of which it is not known.
        errors: Why, one per kind of failure.
    """

    written: int
    bytes: int
    failed: int = 0
    errors: tuple[RivvenKafkaError, ...] = field(default=())

    @property
    def ok(self) -> bool:
        """Whether every event is stored."""
        return self.failed == 0


def _skipped(topic: str, partition: int, skipped: list[BadRecord]) -> list[RivvenKafkaError]:
    """What `on_error: skip` left out, as an error; its offset counts the events of the partition."""
    if not skipped:
        return []
    first = skipped[0]
    message = f"skipped {len(skipped)} events, the first because: {first.reason}"
    return [DeliveryError(message, topic=topic, partition=partition, offset=first.offset)]


class _Stored:
    """What one producer has stored; the metrics count it too, but they are the caller's to set to zero.

    Attributes:
        records: Records that Kafka has stored.
        bytes: Bytes of the record batches that hold them.
    """

    def __init__(self, metrics: KafkaSinkMetrics) -> None:
        self._metrics = metrics
        self.records = self.bytes = 0

    def add(self, records: int, size: int) -> None:
        """Counts a batch."""
        self.records += records
        self.bytes += size
        self._metrics.record_batch(records, size)


class KafkaSink:
    """Writes events to a Kafka topic. Not to be shared by threads.

    With `transactional_id`, each `write` is one transaction. Of two sinks with the same id the one that began
    to write last fences the other, whose next write fails with `FencedError`.

    Args:
        config: The options, as a model; keyword arguments of the same names are an alternative.
        **options: Options of `KafkaSinkConfig`.

    Raises:
        ConfigError: An option is missing, unknown or wrong. Nothing is connected before `write` or `check`.
    """

    def __init__(self, config: KafkaSinkConfig | None = None, **options: Any) -> None:
        self.config = config if config is not None else KafkaSinkConfig(**options)
        if self.config.on_error is OnError.DEAD_LETTER:
            raise ConfigError("on_error: got dead_letter: expected fail or skip outside of a connector")
        self.metrics = KafkaSinkMetrics()
        self._producer: BatchProducer | None = None
        self._stored = _Stored(self.metrics)
        self._partitions = 0

    @staticmethod
    def spec() -> dict[str, Any]:
        """The JSON Schema of the options."""
        return KafkaSinkConfig.model_json_schema()

    def check(self) -> CheckResult:
        """Tries what writing needs: the checks of `sink_steps`. Never raises for a bad environment.

        Every step ends within `request_timeout_ms`. Nothing is written.
        """
        return run_checks(sink_steps(self.config, "rivven-kafka")[1])

    def write(self, events: Iterable[SourceEvent]) -> WriteResult:
        """Writes `events` and waits until Kafka has stored them, or `delivery_timeout_ms` has passed.

        Delivery guarantee: events counted as written are stored as `acks` asks. Of the others some may be
        stored too; writing them again may double them. After a batch that Kafka does not take, nothing more
        is sent. With `transactional_id`, one transaction holds all events but those that `on_error: skip`
        leaves out: after a failure none of them is visible to readers of committed records.

        Args:
            events: Events as `KafkaSource.read` yields them. `partitioning: preserve` keeps their partition.

        Raises:
            ConnectError: Kafka cannot be reached.
            AuthenticationError: Kafka does not accept the credentials.
            AuthorizationError: Kafka does not allow the transactional id.
            TimeoutExpired: Kafka has not made the transactional id ready within `request_timeout_ms`.
            UnknownTopicError: The topic does not exist.
        """
        producer = self._open()
        encoder = sink_encoder(self.config, self._partitions)
        stored = self._stored
        records_before, bytes_before = stored.records, stored.bytes
        refused: list[RivvenKafkaError] = []
        errors: list[RivvenKafkaError] = []
        total = 0
        for partition, records in rows(events).items():
            total += len(records)
            try:
                skipped = encoder.append(block_from_rows(self.config.topic, partition, records))
            except RivvenKafkaError as error:
                refused.append(error)
            else:
                errors += _skipped(self.config.topic, partition, skipped)
        failed = bool(refused) and isinstance(producer, TransactionalProducer)
        failure = None if failed else self._deliver(producer, encoder)
        too_large: dict[int, list[BadRecord]] = {}
        for record in producer.take_refused():
            too_large.setdefault(record.partition, []).append(record)
        for partition, skipped in too_large.items():
            errors += _skipped(self.config.topic, partition, skipped)
        errors = refused + errors
        if failure is not None:
            errors.append(failure)
            if isinstance(producer, TransactionalProducer):
                producer.abort(_ABORT_TIMEOUT_S)
            # Ends the batches without an outcome, so that none of them is counted by a later write.
            self._close(0.0)
        self.metrics.record_retry(producer.take_retries())
        written = stored.records - records_before
        self.metrics.record_error(total - written)
        return WriteResult(written, stored.bytes - bytes_before, total - written, tuple(errors))

    def _deliver(self, producer: BatchProducer, encoder: SinkEncoder) -> RivvenKafkaError | None:
        """Sends what was encoded, until a batch fails; returns why."""
        failure: RivvenKafkaError | None = None
        timeout_s = self.config.delivery_timeout_ms / 1000
        try:
            if isinstance(producer, TransactionalProducer):
                producer.begin()
            producer.send(self.config.topic, encoder.take_ready(0))
        except RivvenKafkaError as error:
            failure = error
        self.metrics.record_flush()
        if not producer.flush(timeout_s):
            return TimeoutExpired("Kafka has not acknowledged every batch in time", topic=self.config.topic)
        try:
            producer.check()
            if isinstance(producer, TransactionalProducer) and failure is None:
                producer.commit()
                if not producer.wait_committed(timeout_s):
                    return TimeoutExpired("Kafka has not committed the transaction in time")
        except RivvenKafkaError as error:
            failure = error
        return failure

    def close(self) -> None:
        """Closes the connections. The sink can be used again."""
        self._close(5.0)

    def _close(self, timeout_s: float) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.close(timeout_s)

    def __enter__(self) -> KafkaSink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> BatchProducer:
        if self._producer is None:
            self._partitions = find_topic(self.config, "rivven-kafka").partitions
            kind = BatchProducer if self.config.transactional_id is None else TransactionalProducer
            # One for each producer: what an earlier one still hears of must not count as written by this one.
            self._stored = _Stored(self.metrics)
            self._producer = kind(
                producer_options(self.config, "rivven-kafka"),
                self._stored.add,
                keep_refused=self.config.on_error is OnError.SKIP,
            )
        return self._producer

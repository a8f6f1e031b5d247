"""Options of the Kafka sink: how to write what Rivven holds to Kafka."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from rivven_kafka.config.aliases import SINK
from rivven_kafka.config.choices import (
    Acks,
    Compression,
    OnError,
    OnLogDamage,
    OnMissingKeyField,
    Partitioning,
    ValueFormat,
)
from rivven_kafka.config.kafka_options import (
    PRODUCER,
    KafkaOptions,
    broken_rules,
    options_schema,
    plain_name,
)
from rivven_kafka.config.model import BrokenRule, Model
from rivven_kafka.config.security import SecurityConfig
from rivven_kafka.config.stall import stall_timeout_ms, too_short
from rivven_kafka.config.values import MAX_INT32, MAX_INT64, MIB, Addresses, KafkaTopic, Text

_IN_FLIGHT = "max_in_flight_requests_per_connection"
_MOST_IN_FLIGHT = 5
"""Of a producer's batches Kafka remembers so many, to know them again (KIP-98)."""

_KAFKA_ACKS = {"0": Acks.NONE, "1": Acks.LEADER, "-1": Acks.ALL}


def _acks(value: object) -> object:
    """Translate Kafka's numbers, given as integers or strings."""
    if isinstance(value, int | str) and not isinstance(value, bool):
        return _KAFKA_ACKS.get(str(value), value) if not isinstance(value, int) or abs(value) <= 1 else value
    return value


AcksOption = Annotated[
    Acks,
    BeforeValidator(_acks, json_schema_input_type=Literal["none", "leader", "all", "0", "1", "-1", 0, 1, -1]),
]


class KafkaSinkConfig(Model):
    """The `config` section of a sink. The Rivven topics and group are options of the section around it."""

    aliases = SINK

    brokers: Addresses = Field(
        description="Kafka bootstrap servers, host:port, as a list or a string with commas. Required."
    )
    topic: KafkaTopic = Field(description="Kafka topic to write. Required.")

    acks: AcksOption = Field(
        Acks.ALL,
        description="Replicas that must store a batch: none (0), leader (1) or all (-1). With none, losses "
        "go unseen.",
    )
    compression: Compression = Field(Compression.NONE, description="Codec of the record batches.")
    batch_size_bytes: int = Field(
        16_384, ge=1, le=100 * MIB, description="Size at which a record batch is sent (bytes)."
    )
    linger_ms: int = Field(5, ge=0, le=MAX_INT32, description="Longest wait for a batch to fill (ms).")
    request_timeout_ms: int = Field(
        30_000, ge=1, le=MAX_INT32, description="Longest wait for the answer to a request to Kafka (ms)."
    )
    retries: int = Field(3, ge=0, le=MAX_INT32, description="Times a failed batch is sent again (count).")
    retry_backoff_ms: int = Field(
        100, ge=0, le=MAX_INT32, description="Pause before a batch is sent again (ms)."
    )
    delivery_timeout_ms: int = Field(
        120_000,
        ge=1,
        le=MAX_INT32,
        description="Longest time from writing a record to its acknowledgement, retries included (ms); at "
        "least linger_ms + request_timeout_ms.",
    )
    max_request_size: int | None = Field(
        None,
        ge=1024,
        le=MAX_INT32,
        description="Largest request to Kafka (bytes); a record that is larger is sent alone. Default: twice "
        "batch_size_bytes, at least 1 MiB.",
    )

    idempotent: bool | None = Field(
        None,
        description="Let Kafka drop what retries send twice; needs acks all, retries > 0 and at most 5 "
        "max_in_flight_requests_per_connection in kafka_options. Default: true with these, else false.",
    )
    transactional_id: Text | None = Field(
        None,
        max_length=255,
        description="Exactly once: write records and Rivven positions in Kafka transactions of this id. Each "
        "process needs an id of its own and keeps it; a second process with the same id fences the first. "
        "Implies idempotent. The positions lie in the Kafka group rivven-kafka:CONSUMER_GROUP:TOPIC.",
    )
    transaction_max_records: int = Field(
        100_000,
        ge=1,
        le=MAX_INT32,
        description="Records after which a transaction ends; with a backlog it also holds what was read "
        "while the last one ended, as much as Kafka takes in half a second (records).",
    )
    transaction_interval_ms: int = Field(
        100,
        ge=1,
        le=30_000,
        description="Time after its first record when a transaction ends (ms).",
    )

    key_field: Text | None = Field(
        None,
        description="Field of the value's JSON that becomes the Kafka key; the Rivven key if it is absent.",
    )
    on_missing_key_field: OnMissingKeyField = Field(
        OnMissingKeyField.FALLBACK,
        description="What to do with a record whose value is no JSON object with key_field in it: fallback "
        "uses the Rivven key and logs how many there are, error leaves it to on_error. Null values keep the "
        "Rivven key.",
    )
    include_headers: bool = Field(True, description="Write the Rivven metadata as Kafka headers.")
    custom_headers: dict[Text, str] = Field(
        default_factory=dict,
        repr=False,
        description="Headers added to every record, in this order, after its own and before rivven_*.",
    )
    client_id: Text | None = Field(None, max_length=255, description="Name shown in Kafka's logs and quotas.")
    security: SecurityConfig = Field(default_factory=SecurityConfig, description="TLS and SASL.")
    kafka_options: KafkaOptions = Field(
        default_factory=dict,
        repr=False,
        json_schema_extra=options_schema(PRODUCER),
        description="Further options of kafka-python's producer, such as metadata_max_age_ms; those that the "
        "connector manages are refused.",
    )

    value_format: ValueFormat = Field(
        ValueFormat.RAW,
        description="What a Rivven value holds: raw is written to Kafka as it is, event is turned back into "
        "the record it was made from.",
    )
    partitioning: Partitioning | None = Field(
        None,
        description="Kafka partition: the number of the Rivven partition, or by key. Default: key when "
        "key_field is given, else preserve.",
    )
    on_error: OnError = Field(
        OnError.FAIL,
        description="What to do with a record that can never be delivered: stop, count and skip it, or send "
        "it to the dead letter topic. Default: dead_letter when dead_letter_topic is given.",
    )

    on_log_damage: OnLogDamage = Field(
        OnLogDamage.FAIL,
        description="What to do when a Rivven log skips offsets, goes back, or cannot be read up to its end, "
        "as after a crash of rivvend: stop before anything behind it is written to Kafka, or warn, count and "
        "go on. A compacted Rivven topic, or one written in Rivven transactions, skips offsets by right: it "
        "needs continue. A log that ends before the position always stops the sink.",
    )

    connections: int = Field(
        16,
        ge=1,
        le=100,
        description="Most connections to Rivven, which allows 100 per address (connections).",
    )
    commit_interval_ms: int = Field(
        100,
        ge=1,
        le=MAX_INT32,
        description="Time between durable commits of the delivered Rivven offsets (ms).",
    )
    session_timeout_ms: int = Field(
        10_000,
        ge=1_000,
        le=MAX_INT32,
        description="How long the Rivven group waits for a member that died (ms); the member that founds the "
        "group decides for all.",
    )
    heartbeat_interval_ms: int = Field(
        500,
        ge=10,
        le=MAX_INT32,
        description="Time between heartbeats to the Rivven group (ms); less than session_timeout_ms.",
    )
    max_in_flight_bytes: int = Field(
        64 * MIB,
        ge=MIB,
        le=MAX_INT64,
        description="Most data read and not yet acknowledged: bounds the memory used (bytes).",
    )
    shutdown_timeout_ms: int = Field(
        30_000,
        ge=0,
        le=MAX_INT32,
        description="Longest time to deliver and commit what was read, at the end (ms).",
    )
    stall_timeout_ms: int | None = Field(
        None,
        ge=0,
        le=MAX_INT32,
        description="Longest time in which a partition that has records to deliver makes no progress; then "
        "the sink is restarted (ms); 0: never. More than delivery_timeout_ms and "
        "broker.request_timeout_ms. Default: 300000, or twice the longer of these two if that is more.",
    )

    def effective_stall_timeout_ms(self, rivven_timeout_ms: int) -> int:
        """`stall_timeout_ms`, or what takes its place when it is not given; 0: never.

        Args:
            rivven_timeout_ms: Longest wait for the answer to a request to Rivven (ms).
        """
        return stall_timeout_ms(self.stall_timeout_ms, self.delivery_timeout_ms, rivven_timeout_ms)

    @property
    def effective_partitioning(self) -> Partitioning:
        """`partitioning`, or what takes its place when it is not given."""
        if self.partitioning is not None:
            return self.partitioning
        return Partitioning.PRESERVE if self.key_field is None else Partitioning.KEY

    @property
    def effective_idempotent(self) -> bool:
        """`idempotent`, or what takes its place when it is not given, as in Kafka's producer (KIP-679)."""
        if self.transactional_id is not None:
            return True
        if self.idempotent is not None:
            return self.idempotent
        return self.acks is Acks.ALL and self.retries > 0 and not self._too_many_in_flight()

    def _too_many_in_flight(self) -> bool:
        """Whether more batches may be on their way than Kafka knows again."""
        given = {plain_name(name): value for name, value in self.kafka_options.items()}
        most = given.get(_IN_FLIGHT, 0)
        return isinstance(most, int) and most > _MOST_IN_FLIGHT

    @property
    def effective_max_request_size(self) -> int:
        """`max_request_size` (bytes), or what takes its place when it is not given."""
        return max(MIB, 2 * self.batch_size_bytes) if self.max_request_size is None else self.max_request_size

    def broken_rules(self) -> Iterator[BrokenRule]:
        """Check the options that depend on each other."""
        yield from self._broken_delivery_rules()
        yield from broken_rules(self.kafka_options, PRODUCER)
        if self.key_field is None and self.on_missing_key_field is OnMissingKeyField.ERROR:
            yield "on_missing_key_field", "got error: not used without key_field: expected fallback"
        if self.heartbeat_interval_ms >= self.session_timeout_ms:
            yield (
                "heartbeat_interval_ms",
                f"got {self.heartbeat_interval_ms}: expected less than session_timeout_ms "
                f"({self.session_timeout_ms})",
            )
        if self.delivery_timeout_ms < self.linger_ms + self.request_timeout_ms:
            yield (
                "delivery_timeout_ms",
                f"got {self.delivery_timeout_ms}: expected at least linger_ms + request_timeout_ms "
                f"({self.linger_ms + self.request_timeout_ms})",
            )
        if self.effective_max_request_size < self.batch_size_bytes:
            yield (
                "max_request_size",
                f"got {self.max_request_size}: expected at least batch_size_bytes ({self.batch_size_bytes})",
            )
        if self.max_in_flight_bytes < self.batch_size_bytes:
            yield (
                "max_in_flight_bytes",
                f"got {self.max_in_flight_bytes}: expected at least batch_size_bytes "
                f"({self.batch_size_bytes})",
            )
        yield from too_short(self.stall_timeout_ms, delivery_timeout_ms=self.delivery_timeout_ms)

    def _broken_delivery_rules(self) -> Iterator[BrokenRule]:
        transactional = self.transactional_id is not None
        if transactional and self.idempotent is False:
            yield "idempotent", "got false: transactional_id requires true"
        if self.idempotent or transactional:
            if self._too_many_in_flight():
                yield (
                    f"kafka_options.{_IN_FLIGHT}",
                    f"idempotent and transactional_id require at most {_MOST_IN_FLIGHT}",
                )
            if self.acks is not Acks.ALL:
                yield "acks", f"got {self.acks}: idempotent and transactional_id require all"
            if self.retries == 0:
                yield "retries", "got 0: idempotent and transactional_id require at least 1"

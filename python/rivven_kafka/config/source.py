"""Options of the Kafka source: what to read from Kafka, and how to write it to Rivven."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydantic import Field

from rivven_kafka.config.aliases import SOURCE
from rivven_kafka.config.choices import (
    DeliveryGuarantee,
    IsolationLevel,
    OnError,
    OnLogDamage,
    OnTombstone,
    Ordering,
    Partitioning,
    StartOffset,
    ValueFormat,
)
from rivven_kafka.config.kafka_options import CONSUMER, KafkaOptions, broken_rules, options_schema
from rivven_kafka.config.model import BrokenRule, Model
from rivven_kafka.config.problems import repeated
from rivven_kafka.config.security import SecurityConfig
from rivven_kafka.config.stall import stall_timeout_ms, too_short
from rivven_kafka.config.values import (
    MAX_INT32,
    MAX_INT64,
    MIB,
    Addresses,
    KafkaTopic,
    KafkaTopics,
    Regex,
    Regexes,
    Text,
)

_LEAST_INFLATED = 128 * MIB

_NUMBERED_GROUP = re.compile(r"\\[1-9]|\(\?\([1-9]")


class KafkaSourceConfig(Model):
    """The `config` section of a source. The Rivven topic it fills is an option of the section around it."""

    aliases = SOURCE

    brokers: Addresses = Field(
        description="Kafka bootstrap servers, host:port, as a list or a string with commas. Required."
    )
    topic: KafkaTopic | None = Field(
        None, description="Kafka topic to read. Exactly one of topic, topics and topics_regex is required."
    )
    topics: KafkaTopics = Field(
        (), description="Kafka topics to read, as a list or a string with commas, instead of one topic."
    )
    topics_regex: Regex | None = Field(
        None,
        description="Regular expression that the whole name of a Kafka topic has to match to be read; topics "
        "that appear later are found when the metadata is refreshed (every 5 minutes, see kafka_options). "
        "Kafka's internal topics never match.",
    )
    topics_exclude: Regexes = Field(
        (),
        description="Regular expressions; a topic that matches one in whole is not read. For topics_regex.",
    )
    consumer_group: Text = Field(
        "rivven-connect",
        max_length=255,
        description="Kafka consumer group; processes with the same one share the partitions.",
    )
    start_offset: StartOffset = Field(
        StartOffset.EARLIEST, description="Where to start in a partition without a committed offset."
    )

    max_poll_records: int = Field(
        500,
        ge=1,
        le=MAX_INT32,
        description="Largest number of records taken from the consumer at a time (records).",
    )
    max_poll_interval_ms: int = Field(
        300_000,
        ge=1,
        le=MAX_INT32,
        description="Longest time between two polls before the group expels us (ms).",
    )
    session_timeout_ms: int = Field(
        30_000,
        ge=1,
        le=MAX_INT32,
        description="Longest time without a heartbeat before the group expels us (ms).",
    )
    heartbeat_interval_ms: int = Field(
        3_000, ge=1, le=MAX_INT32, description="Time between heartbeats (ms); less than session_timeout_ms."
    )
    fetch_min_bytes: int = Field(
        1, ge=0, le=MAX_INT32, description="Data a broker collects before it answers a fetch (bytes)."
    )
    fetch_max_bytes: int = Field(
        50 * MIB, ge=1, le=MAX_INT32, description="Data a broker returns for one fetch (bytes)."
    )
    max_partition_fetch_bytes: int = Field(
        MIB, ge=1, le=MAX_INT32, description="Data a broker returns for one partition of a fetch (bytes)."
    )
    request_timeout_ms: int = Field(
        30_000, ge=1, le=MAX_INT32, description="Longest wait for the answer to a request to Kafka (ms)."
    )
    empty_poll_delay_ms: int = Field(
        100, ge=0, le=MAX_INT32, description="Pause after a poll that returned nothing (ms)."
    )
    isolation_level: IsolationLevel = Field(
        IsolationLevel.READ_UNCOMMITTED,
        description="read_committed leaves out the records of open and aborted transactions.",
    )
    check_crcs: bool = Field(True, description="Verify the checksum of every record batch.")

    enable_auto_commit: bool = Field(
        True,
        description="When to commit offsets of records that Rivven has acknowledged: true every "
        "auto_commit_interval_ms, false after each acknowledged block. Others are never committed.",
    )
    auto_commit_interval_ms: int = Field(5_000, ge=1, le=MAX_INT32, description="Time between commits (ms).")

    include_headers: bool = Field(True, description="Put the Kafka headers into the metadata of the event.")
    include_key: bool = Field(True, description="Put the Kafka key into the metadata of the event.")
    client_id: Text | None = Field(None, max_length=255, description="Name shown in Kafka's logs and quotas.")
    security: SecurityConfig = Field(default_factory=SecurityConfig, description="TLS and SASL.")
    kafka_options: KafkaOptions = Field(
        default_factory=dict,
        repr=False,
        json_schema_extra=options_schema(CONSUMER),
        description="Further options of kafka-python's consumer, such as client_rack or metadata_max_age_ms; "
        "those that the connector manages are refused.",
    )

    value_format: ValueFormat = Field(
        ValueFormat.EVENT,
        description="What a Rivven value holds: event is JSON with the metadata, raw the Kafka value as is.",
    )
    partitioning: Partitioning = Field(
        Partitioning.PRESERVE, description="Rivven partition: the number of the Kafka partition, or by key."
    )
    ordering: Ordering = Field(
        Ordering.PARTITION,
        description="What stays in order: all records of a partition (one connection each), or those of each "
        "key, which lets several connections write to a partition.",
    )
    delivery_guarantee: DeliveryGuarantee = Field(
        DeliveryGuarantee.AT_LEAST_ONCE,
        description="at_least_once: after a crash, the last records come again. exactly_once: the Rivven log "
        "is read at the start, from where the last commit says, and what it has is not published again; raw "
        "format then needs ordering partition, partitioning preserve, and no other writer.",
    )
    on_log_damage: OnLogDamage = Field(
        OnLogDamage.FAIL,
        description="What to do when a Rivven log no longer has what it had, as after a crash of rivvend: "
        "stop before anything more is published, or continue. Looked for over each new connection.",
    )
    on_tombstone: OnTombstone = Field(
        OnTombstone.FAIL,
        description="What to do with a null value in raw format: write an empty value, skip it, send it to "
        "the dead letter topic, or fail.",
    )
    on_error: OnError = Field(
        OnError.FAIL,
        description="What to do with a record that can never be delivered: stop, count and skip it, or send "
        "it to the dead letter topic. Default: dead_letter when dead_letter_topic is given.",
    )

    connections: int = Field(
        64,
        ge=1,
        le=100,
        description="Most connections to Rivven, which allows 100 per address (connections).",
    )
    max_batch_records: int = Field(200, ge=1, le=10_000, description="Most records in one request (records).")
    max_request_size: int = Field(
        MIB,
        ge=1024,
        le=10_485_760,
        description="Largest request to Rivven, which takes at most 10 MiB (bytes).",
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
        "the source is restarted (ms); 0: never. More than request_timeout_ms and "
        "broker.request_timeout_ms. Default: 300000, or twice the longer of these two if that is more.",
    )

    def effective_stall_timeout_ms(self, rivven_timeout_ms: int) -> int:
        """`stall_timeout_ms`, or what takes its place when it is not given; 0: never.

        Args:
            rivven_timeout_ms: Longest wait for the answer to a request to Rivven (ms).
        """
        return stall_timeout_ms(self.stall_timeout_ms, self.request_timeout_ms, rivven_timeout_ms)

    @property
    def max_batch_bytes(self) -> int:
        """Most bytes that one compressed batch may inflate to."""
        return max(_LEAST_INFLATED, self.max_in_flight_bytes)

    @property
    def topic_names(self) -> tuple[str, ...]:
        """The Kafka topics that are named; empty with `topics_regex`."""
        return (self.topic,) if self.topic is not None else self.topics

    @property
    def topic_pattern(self) -> str | None:
        """One regular expression for `topics_regex` without `topics_exclude`, matched from the start."""
        if self.topics_regex is None:
            return None
        excluded = "".join(rf"(?!(?:{regex})\Z)" for regex in self.topics_exclude)
        # The selection comes first, so that numbers of groups mean what they mean in it alone.
        return rf"(?=(?:{self.topics_regex})\Z)(?!__){excluded}"

    def selects(self, topic: str) -> bool:
        """Whether the Kafka topic of this name is to be read."""
        pattern = self.topic_pattern
        return topic in self.topic_names if pattern is None else re.match(pattern, topic) is not None

    @property
    def topics_text(self) -> str:
        """The selected topics in words, for messages."""
        if self.topics_regex is not None:
            return f"topics that match {self.topics_regex!r}"
        names = ", ".join(repr(name) for name in self.topic_names)
        return f"topic {names}" if len(self.topic_names) == 1 else f"topics {names}"

    def broken_rules(self) -> Iterator[BrokenRule]:
        """Check the options that depend on each other."""
        yield from self._broken_topic_rules()
        yield from broken_rules(self.kafka_options, CONSUMER)
        if self.heartbeat_interval_ms >= self.session_timeout_ms:
            yield (
                "heartbeat_interval_ms",
                f"got {self.heartbeat_interval_ms}: expected less than session_timeout_ms "
                f"({self.session_timeout_ms})",
            )
        if self.fetch_min_bytes > self.fetch_max_bytes:
            yield (
                "fetch_min_bytes",
                f"got {self.fetch_min_bytes}: expected at most fetch_max_bytes ({self.fetch_max_bytes})",
            )
        if self.max_request_size > self.max_in_flight_bytes:
            yield (
                "max_in_flight_bytes",
                f"got {self.max_in_flight_bytes}: expected at least max_request_size "
                f"({self.max_request_size})",
            )
        yield from self._broken_guarantee_rules()
        if self.on_tombstone is not OnTombstone.FAIL and self.value_format is ValueFormat.EVENT:
            yield "on_tombstone", "not used with value_format event, which keeps null values: expected raw"
        yield from too_short(self.stall_timeout_ms, request_timeout_ms=self.request_timeout_ms)

    def _broken_guarantee_rules(self) -> Iterator[BrokenRule]:
        if self.delivery_guarantee is not DeliveryGuarantee.EXACTLY_ONCE:
            return
        if self.on_log_damage is OnLogDamage.CONTINUE:
            yield "on_log_damage", "got continue: expected fail with delivery_guarantee exactly_once"
        if self.value_format is ValueFormat.RAW:
            need = "with exactly_once and value_format raw, which recognises records by their order"
            if self.ordering is not Ordering.PARTITION:
                yield "ordering", f"got {self.ordering}: expected partition {need}"
            if self.partitioning is not Partitioning.PRESERVE:
                yield "partitioning", f"got {self.partitioning}: expected preserve {need}"

    def _broken_topic_rules(self) -> Iterator[BrokenRule]:
        given = [
            option
            for option, value in (
                ("topic", self.topic),
                ("topics", self.topics),
                ("topics_regex", self.topics_regex),
            )
            if value
        ]
        if not given:
            yield "topic", "missing: expected one of topic, topics and topics_regex"
        for option in given[1:]:
            yield option, f"given together with {given[0]}: expected one of topic, topics and topics_regex"
        yield from repeated("topics", self.topics)
        if self.topics_exclude and self.topics_regex is None:
            yield "topics_exclude", "not used without topics_regex"
        yield from self._broken_pattern_rules()

    def _broken_pattern_rules(self) -> Iterator[BrokenRule]:
        pattern = self.topic_pattern
        if pattern is None:
            return
        for index, regex in enumerate(self.topics_exclude):
            if _NUMBERED_GROUP.search(regex):
                yield (
                    ("topics_exclude", index),
                    "refers to a group by its number: expected a name, as in (?P<x>..)(?P=x)",
                )
        try:
            re.compile(pattern)
        except re.error as error:
            flags = "; write (?i:...) instead of (?i)" if "flags" in str(error) else ""
            yield (
                "topics_regex",
                f"cannot be combined with topics_exclude into one expression: {error}{flags}",
            )

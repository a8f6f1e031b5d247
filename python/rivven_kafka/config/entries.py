"""One entry of `sources` and one of `sinks`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from rivven_kafka.config.choices import (
    DeliveryGuarantee,
    OnError,
    OnTombstone,
    StartOffset,
    ValueFormat,
)
from rivven_kafka.config.model import BrokenRule, Model
from rivven_kafka.config.problems import repeated
from rivven_kafka.config.settings import MAX_PARTITIONS
from rivven_kafka.config.sink import KafkaSinkConfig
from rivven_kafka.config.source import KafkaSourceConfig
from rivven_kafka.config.start import SinkStart, StartOffsets
from rivven_kafka.config.transforms import Transform, changing, outside_data
from rivven_kafka.config.values import (
    MAX_INT64,
    TOPIC_PLACEHOLDER,
    ClusterName,
    DestinationTopic,
    RivvenTopic,
    Text,
)

VIA_HEADER = "rivven_kafka_via"
"""The Kafka header that tells where a record has been."""

MAX_RATE = 2**53
"""Records per second are counted in floating point."""


def _off(value: object) -> object:
    """An empty name means that there is none, as in rivven-connect."""
    return None if value == "" else value


OptionalTopic = Annotated[
    RivvenTopic | None, BeforeValidator(_off, json_schema_input_type=RivvenTopic | Literal[""] | None)
]


class SourceRateLimit(Model):
    """Throttling of a source."""

    events_per_second: int = Field(
        0, ge=0, le=MAX_RATE, description="Most records read per second; 0: no limit (records/s)."
    )
    burst_size: int = Field(
        0,
        ge=0,
        le=MAX_RATE,
        description="Records that may be read at once after a quiet time; 0: a tenth of events_per_second "
        "(records).",
    )
    max_in_flight: int = Field(
        0, ge=0, le=MAX_RATE, description="Most records read and not acknowledged; 0: no limit (records)."
    )

    def broken_rules(self) -> Iterator[BrokenRule]:
        """Refuse a burst without a rate."""
        if self.burst_size and not self.events_per_second:
            yield "burst_size", "not used without events_per_second"


class SinkRateLimit(Model):
    """Throttling of a sink."""

    events_per_second: int = Field(
        0, ge=0, le=MAX_RATE, description="Most records written per second; 0: no limit (records/s)."
    )
    burst_capacity: int | None = Field(
        None,
        ge=1,
        le=MAX_RATE,
        description="Records that may be written at once after a quiet time (records). Default: a tenth of "
        "events_per_second.",
    )

    def broken_rules(self) -> Iterator[BrokenRule]:
        """Refuse a burst without a rate."""
        if self.burst_capacity and not self.events_per_second:
            yield "burst_capacity", "not used without events_per_second"


class SourceTopicConfig(Model):
    """Creation of the Rivven topic of one source."""

    partitions: int | None = Field(
        None,
        ge=1,
        le=MAX_PARTITIONS,
        description="Partitions of the topic if it is created (count). Default: as many as the Kafka topic "
        "has when they are preserved, else settings.topic.default_partitions.",
    )
    replication_factor: int | None = Field(
        None, ge=1, description="Only 1: Rivven cannot be asked for replicas (count)."
    )
    auto_create: bool | None = Field(None, description="Takes the place of settings.topic.auto_create.")

    def broken_rules(self) -> Iterator[BrokenRule]:
        """Refuse what Rivven cannot be asked for."""
        if self.replication_factor not in (None, 1):
            yield "replication_factor", f"got {self.replication_factor}: not supported by Rivven: expected 1"


class _Entry(Model):
    """What sources and sinks have in common."""

    enabled: bool = Field(True, description="Run this connector.")
    schema_registry_url: str | None = Field(None, description="Not supported in this version.")
    transforms: tuple[Transform, ...] = Field(
        (), description="Edits of each record, in this order: rename_field, remove_field, add_field, filter."
    )
    dead_letter_topic: OptionalTopic = Field(
        None,
        description="Rivven topic for records that can never be delivered, created if it does not exist; see "
        "on_error.",
    )
    loop_protection: bool = Field(
        False,
        description="Mark each record with the topics it has been in, and never write it to one of them "
        "again: for links in both directions. Needs broker.cluster_name.",
    )
    kafka_cluster_name: ClusterName | None = Field(
        None,
        description="Name of the Kafka cluster in the marks of loop_protection. Default: the id that the "
        "cluster gives itself, which copies of a cluster share.",
    )

    def broken_rules(self) -> Iterator[BrokenRule]:
        """Refuse what is not there yet. An empty value means off, as in rivven-connect."""
        if self.schema_registry_url:
            yield "schema_registry_url", "not supported in this version: remove the key"
        if self.kafka_cluster_name is not None and not self.loop_protection:
            yield "kafka_cluster_name", "not used without loop_protection"


def _broken_transform_rules(
    config: KafkaSourceConfig | KafkaSinkConfig, steps: tuple[Transform, ...]
) -> Iterator[BrokenRule]:
    """In raw format there is no event around the data."""
    if config.value_format is ValueFormat.RAW:
        for path, message in outside_data(steps):
            yield ("transforms", *path), message


def _broken_protection_rules(entry: SourceEntry | SinkEntry) -> Iterator[BrokenRule]:
    """The mark has to reach the other side."""
    if not entry.loop_protection or entry.config.value_format is ValueFormat.RAW:
        return
    for path, field in changing(entry.transforms, ("metadata.kafka_via",)):
        message = f"changes {field}, by which loop_protection recognises a record: expected to leave it"
        yield ("transforms", *path), message


def _on_error(config: KafkaSourceConfig | KafkaSinkConfig, dead_letter_topic: str | None) -> OnError:
    """`on_error`, or what takes its place when it is not given."""
    if dead_letter_topic is not None and "on_error" not in config.model_fields_set:
        return OnError.DEAD_LETTER
    return config.on_error


class SourceEntry(_Entry):
    """A source: reads Kafka topics and fills Rivven topics."""

    connector: Literal["kafka", "kafka-source"] = Field(description="The kind of connector.")
    topic: DestinationTopic = Field(
        description="Rivven topic to fill; {topic} in it stands for the name of the Kafka topic. Required."
    )
    topic_config: SourceTopicConfig = Field(
        default_factory=SourceTopicConfig, description="Creation of the Rivven topic."
    )
    config: KafkaSourceConfig = Field(description="Options of the Kafka side and of the delivery. Required.")
    tables: tuple[object, ...] = Field((), description="Not supported: Kafka has no tables.")
    rate_limit: SourceRateLimit = Field(default_factory=SourceRateLimit, description="Throttling.")

    @property
    def on_error(self) -> OnError:
        """`config.on_error`, or what takes its place when it is not given."""
        return _on_error(self.config, self.dead_letter_topic)

    def destination(self, kafka_topic: str) -> str:
        """The name of the Rivven topic for the records of a Kafka topic."""
        return self.topic.replace(TOPIC_PLACEHOLDER, kafka_topic)

    def broken_rules(self) -> Iterator[BrokenRule]:
        """Check what concerns the section as a whole."""
        yield from super().broken_rules()
        if self.tables:
            yield "tables", "not supported by the Kafka connector: remove the key"
        config = self.config
        yield from _broken_transform_rules(config, self.transforms)
        yield from _broken_dead_letter_rules(config, self.dead_letter_topic)
        yield from _broken_protection_rules(self)
        if self.loop_protection and config.value_format is ValueFormat.RAW:
            yield (
                ("config", "value_format"),
                "got raw: loop_protection needs a mark in each record, for which a raw value has no place: "
                "expected event",
            )
        yield from self._broken_guarantee_rules()
        if config.on_tombstone is OnTombstone.DEAD_LETTER and self.dead_letter_topic is None:
            yield "dead_letter_topic", "missing: config.on_tombstone dead_letter requires it"
        if self.dead_letter_topic in [self.destination(topic) for topic in config.topic_names]:
            yield "dead_letter_topic", "the same as the topic to fill: expected another one"

    def _broken_guarantee_rules(self) -> Iterator[BrokenRule]:
        config = self.config
        if config.delivery_guarantee is not DeliveryGuarantee.EXACTLY_ONCE:
            return
        if config.value_format is ValueFormat.EVENT:
            for path, field in changing(self.transforms, ("metadata.position", "metadata.kafka_topic_id")):
                message = f"changes {field}, by which exactly_once recognises a record: expected to leave it"
                yield ("transforms", *path), message
        elif len({self.destination(topic) for topic in config.topic_names}) < len(config.topic_names):
            yield (
                "topic",
                f"got {self.topic!r} for {len(config.topic_names)} Kafka topics: expected one with "
                f"{TOPIC_PLACEHOLDER}: exactly_once in raw format needs a Rivven topic for each of them",
            )


class SinkEntry(_Entry):
    """A sink: reads Rivven topics and writes a Kafka topic."""

    connector: Literal["kafka", "kafka-sink"] = Field(description="The kind of connector.")
    topics: tuple[RivvenTopic, ...] = Field(min_length=1, description="Rivven topics to read. Required.")
    consumer_group: Text = Field(
        max_length=255, description="Rivven consumer group that holds the offsets. Required."
    )
    config: KafkaSinkConfig = Field(description="Options of the Kafka side and of the delivery. Required.")
    start_offset: SinkStart = Field(
        StartOffset.LATEST,
        description="Start without a committed offset: earliest, latest, {timestamp: RFC 3339 time} or "
        "{offsets: {topic: {partition: offset}}, otherwise: earliest}.",
    )
    rate_limit: SinkRateLimit = Field(default_factory=SinkRateLimit, description="Throttling.")
    offset_commit_interval: int | None = Field(
        None,
        ge=1,
        le=MAX_INT64,
        description="Commit after this many delivered records, also before config.commit_interval_ms has "
        "passed (records).",
    )

    @property
    def on_error(self) -> OnError:
        """`config.on_error`, or what takes its place when it is not given."""
        return _on_error(self.config, self.dead_letter_topic)

    def broken_rules(self) -> Iterator[BrokenRule]:
        """Refuse a topic named twice, whose records would be written twice, and what is not there yet."""
        yield from super().broken_rules()
        yield from repeated("topics", self.topics)
        yield from _broken_transform_rules(self.config, self.transforms)
        yield from _broken_dead_letter_rules(self.config, self.dead_letter_topic)
        yield from _broken_protection_rules(self)
        if self.loop_protection and VIA_HEADER in self.config.custom_headers:
            yield (
                ("config", "custom_headers", VIA_HEADER),
                "the header of loop_protection: expected another name",
            )
        if self.dead_letter_topic in self.topics:
            yield "dead_letter_topic", "one of the topics to read: expected another one"
        if isinstance(self.start_offset, StartOffsets):
            for topic in self.start_offset.offsets:
                if topic not in self.topics:
                    yield "start_offset", f"topic {topic!r} is not one of topics"


def _broken_dead_letter_rules(
    config: KafkaSourceConfig | KafkaSinkConfig, dead_letter_topic: str | None
) -> Iterator[BrokenRule]:
    if config.on_error is OnError.DEAD_LETTER and dead_letter_topic is None:
        yield "dead_letter_topic", "missing: config.on_error dead_letter requires it"
    unused = dead_letter_topic is not None and _on_error(config, dead_letter_topic) is not OnError.DEAD_LETTER
    if unused and getattr(config, "on_tombstone", None) is not OnTombstone.DEAD_LETTER:
        yield "dead_letter_topic", f"not used with config.on_error {config.on_error}: expected dead_letter"

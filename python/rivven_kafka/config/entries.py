"""One entry of `sources` and one of `sinks`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, PlainValidator, WithJsonSchema

from rivven_kafka.config.choices import StartOffset
from rivven_kafka.config.model import BrokenRule, Model
from rivven_kafka.config.settings import MAX_PARTITIONS
from rivven_kafka.config.sink import KafkaSinkConfig
from rivven_kafka.config.source import KafkaSourceConfig
from rivven_kafka.config.values import RivvenTopic, Text

_START = "expected earliest, latest or {timestamp: <RFC 3339 time with its offset from UTC>}"


def _start(value: object) -> StartOffset | datetime:
    """Read a start position: a word, or a mapping with a time."""
    if isinstance(value, dict) and list(value) == ["timestamp"]:
        value = value["timestamp"]
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                raise ValueError(_START) from None
    elif isinstance(value, str) and value in StartOffset.__members__.values():
        return StartOffset(value)
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value
    raise ValueError(_START)


SinkStart = Annotated[
    StartOffset | datetime,
    PlainValidator(_start),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": list(StartOffset), "type": "string"},
                {
                    "type": "object",
                    "properties": {"timestamp": {"type": "string", "format": "date-time"}},
                    "required": ["timestamp"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]


class SourceRateLimit(Model):
    """Throttling of a source; accepted only while it is off."""

    events_per_second: int = Field(
        0, ge=0, description="Not supported in this version; 0: no limit (records/s)."
    )
    max_in_flight: int = Field(0, ge=0, description="Not supported in this version; 0: no limit (requests).")
    burst_size: int = Field(0, ge=0, description="Not supported in this version (records).")

    def broken_rules(self) -> Iterator[BrokenRule]:
        """Refuse limits."""
        for option in ("events_per_second", "max_in_flight", "burst_size"):
            if getattr(self, option):
                yield option, "rate limits are not supported in this version: expected 0"


class SinkRateLimit(Model):
    """Throttling of a sink; accepted only while it is off."""

    events_per_second: int = Field(
        0, ge=0, description="Not supported in this version; 0: no limit (records/s)."
    )
    burst_capacity: int | None = Field(None, ge=0, description="Not supported in this version (records).")

    def broken_rules(self) -> Iterator[BrokenRule]:
        """Refuse limits."""
        for option in ("events_per_second", "burst_capacity"):
            if getattr(self, option):
                yield option, "rate limits are not supported in this version: expected 0"


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
        None, ge=1, description="Accepted for compatibility; has no effect (count)."
    )
    auto_create: bool | None = Field(None, description="Takes the place of settings.topic.auto_create.")


class _Entry(Model):
    """What sources and sinks have in common."""

    enabled: bool = Field(True, description="Run this connector.")
    schema_registry_url: str | None = Field(None, description="Not supported in this version.")
    transforms: tuple[object, ...] = Field((), description="Not supported in this version.")
    dead_letter_topic: str | None = Field(None, description="Not supported in this version.")

    def broken_rules(self) -> Iterator[BrokenRule]:
        """Refuse what is not there yet. An empty value means off, as it does upstream."""
        for option in ("schema_registry_url", "transforms", "dead_letter_topic"):
            if getattr(self, option):
                yield option, "not supported in this version: remove the key"


class SourceEntry(_Entry):
    """A source: reads a Kafka topic and fills a Rivven topic."""

    connector: Literal["kafka", "kafka-source"] = Field(description="The kind of connector.")
    topic: RivvenTopic = Field(description="Rivven topic to fill. Required.")
    topic_config: SourceTopicConfig = Field(
        default_factory=SourceTopicConfig, description="Creation of the Rivven topic."
    )
    config: KafkaSourceConfig = Field(description="Options of the Kafka side and of the delivery. Required.")
    tables: tuple[object, ...] = Field((), description="Not supported: Kafka has no tables.")
    rate_limit: SourceRateLimit = Field(default_factory=SourceRateLimit, description="Throttling.")

    def broken_rules(self) -> Iterator[BrokenRule]:
        """Refuse what is not there yet."""
        yield from super().broken_rules()
        if self.tables:
            yield "tables", "not supported by the Kafka connector: remove the key"


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
        description="Start without a committed offset: earliest, latest or {timestamp: RFC 3339 time}.",
    )
    rate_limit: SinkRateLimit = Field(default_factory=SinkRateLimit, description="Throttling.")
    offset_commit_interval: int = Field(
        100,
        ge=1,
        description="Accepted for compatibility; has no effect, see config.commit_interval_ms (records).",
    )

    def broken_rules(self) -> Iterator[BrokenRule]:
        """Refuse a topic named twice, whose records would be written twice, and what is not there yet."""
        yield from super().broken_rules()
        twice = sorted({topic for topic in self.topics if self.topics.count(topic) > 1})
        if twice:
            yield "topics", f"named more than once: {', '.join(twice)}"

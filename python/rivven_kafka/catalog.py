"""What can be read: the topics of a Kafka cluster as streams, in the form of a connector's catalog."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

NAMESPACE = "kafka"

_TEXT_OR_NULL = {"type": ["string", "null"]}

EVENT_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "event_type": {"const": "record"},
        "stream": {"type": "string", "description": "Kafka topic."},
        "namespace": {"const": NAMESPACE},
        "timestamp": {
            "type": "string",
            "format": "date-time",
            "description": "When the record was read or published.",
        },
        "data": {
            "description": "The value: JSON as it is, text as a string, other bytes in base64; null is a "
            "tombstone."
        },
        "metadata": {
            "type": "object",
            "properties": {
                "position": {"type": "string", "description": "topic:partition:offset in Kafka."},
                "kafka_headers": {"type": "object", "additionalProperties": _TEXT_OR_NULL},
                "kafka_header_list": {
                    "type": "array",
                    "description": "All headers in order, only where the map cannot hold them.",
                },
                "kafka_timestamp": {"type": "integer", "description": "Milliseconds since the epoch."},
                "kafka_timestamp_type": {"const": "log_append_time"},
                "kafka_partition": {"type": "integer", "minimum": 0},
                "kafka_offset": {"type": "integer", "minimum": 0},
                "kafka_key": {"type": "string"},
                "kafka_value_encoding": {"enum": ["text", "base64", "json"]},
                "kafka_value_padding": {"type": "array", "items": {"type": "string"}},
            },
            "required": ["position", "kafka_timestamp", "kafka_partition", "kafka_offset"],
        },
    },
    "required": ["event_type", "stream", "namespace", "timestamp", "data", "metadata"],
}
"""JSON Schema of the event that `KafkaSource.read` yields (`SourceEvent.to_dict`) and that a source publishes
with `value_format: event`."""


@dataclass(frozen=True)
class Stream:
    """A Kafka topic that can be read.

    Attributes:
        name: Name of the topic.
        namespace: Where it comes from: `kafka`.
        json_schema: JSON Schema of its events.
        supported_sync_modes: Ways to read it: from the beginning, and from a position on.
        default_cursor_field: What tells how far it was read.
        source_defined_primary_key: What tells its events apart.
        metadata: `partition_count`, `replication_factor`, and `configs` (topic configs by name; None where
            the user may not see them; absent where they were not asked for).
    """

    name: str
    namespace: str = NAMESPACE
    json_schema: Mapping[str, Any] = field(default_factory=lambda: copy.deepcopy(EVENT_SCHEMA), repr=False)
    supported_sync_modes: tuple[str, ...] = ("full_refresh", "incremental")
    default_cursor_field: tuple[str, ...] = ("offset",)
    source_defined_primary_key: tuple[tuple[str, ...], ...] = (("topic",), ("partition",), ("offset",))
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The stream as values that JSON has."""
        return {
            "name": self.name,
            "namespace": self.namespace,
            "json_schema": copy.deepcopy(dict(self.json_schema)),
            "supported_sync_modes": list(self.supported_sync_modes),
            "default_cursor_field": list(self.default_cursor_field),
            "source_defined_primary_key": [list(path) for path in self.source_defined_primary_key],
            "metadata": copy.deepcopy(dict(self.metadata)),
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Stream:
        """The inverse of `to_dict`.

        Raises:
            KeyError: A field is missing.
        """
        return cls(
            name=value["name"],
            namespace=value["namespace"],
            json_schema=copy.deepcopy(dict(value["json_schema"])),
            supported_sync_modes=tuple(value["supported_sync_modes"]),
            default_cursor_field=tuple(value["default_cursor_field"]),
            source_defined_primary_key=tuple(tuple(path) for path in value["source_defined_primary_key"]),
            metadata=copy.deepcopy(dict(value["metadata"])),
        )


@dataclass(frozen=True)
class Catalog:
    """The streams of a source, by name; iterable."""

    streams: tuple[Stream, ...] = ()

    def __iter__(self) -> Iterator[Stream]:
        return iter(self.streams)

    def __len__(self) -> int:
        return len(self.streams)

    def stream(self, name: str) -> Stream:
        """The stream of that name.

        Raises:
            KeyError: There is none.
        """
        for stream in self.streams:
            if stream.name == name:
                return stream
        raise KeyError(name)

    def to_dict(self) -> dict[str, Any]:
        """The catalog as values that JSON has."""
        return {"streams": [stream.to_dict() for stream in self.streams]}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Catalog:
        """The inverse of `to_dict`.

        Raises:
            KeyError: A field is missing.
        """
        return cls(tuple(Stream.from_dict(stream) for stream in value["streams"]))

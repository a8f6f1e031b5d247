"""Which sources can be compared with what they have written."""

from __future__ import annotations

import json
from collections.abc import Mapping

from rivven_kafka._native import apply_transforms
from rivven_kafka.config import Partitioning, SourceEntry, ValueFormat, transforms_json
from rivven_kafka.errors import ConfigError

_POSITION = "t:0:0"
_SAMPLE = '{"event_type":"record","stream":"t","data":{},"metadata":{"position":"t:0:0"}}'
"""What the transforms must leave of an event."""


def require_positions(name: str, entry: SourceEntry) -> None:
    """Refuses transforms that take the position out of the events: all of them would look missing.

    Raises:
        ConfigError: They do.
    """
    metadata = _transformed(entry).get("metadata")
    if not isinstance(metadata, dict) or metadata.get("position") != _POSITION:
        raise ConfigError(
            f"sources.{name}.transforms: they change metadata.position of the events, by which records are "
            f"compared: expected transforms that leave it alone"
        )


def require_events(name: str, entry: SourceEntry) -> None:
    """Refuses transforms after which events are none any more: no record can be restored from them.

    Raises:
        ConfigError: They are.
    """
    event = _transformed(entry)
    for field in ("event_type", "stream", "data"):
        if field not in event:
            raise ConfigError(
                f"sources.{name}.transforms: they take {field} out of the events, from which records are "
                f"restored: expected transforms that leave it there"
            )


def require_pairs(name: str, entry: SourceEntry, groups: Mapping[str, Mapping[str, int]]) -> None:
    """Refuses raw values that several Kafka partitions mix: nothing tells them apart.

    Args:
        name: Name of the source.
        entry: Its section.
        groups: The Rivven topics, each with the Kafka topics that go to it.

    Raises:
        ConfigError: They are mixed.
    """
    config = entry.config
    if config.value_format is not ValueFormat.RAW:
        return
    if config.partitioning is not Partitioning.PRESERVE:
        raise ConfigError(
            f"sources.{name}.config.partitioning: got {config.partitioning}: values in raw format can only "
            f"be compared with preserve"
        )
    for destination, group in groups.items():
        if len(group) > 1:
            raise ConfigError(
                f"sources.{name}.topic: got {destination!r} for {len(group)} Kafka topics: values in raw "
                f"format can only be compared where one topic fills it"
            )


def _transformed(entry: SourceEntry) -> dict[str, object]:
    if entry.config.value_format is ValueFormat.RAW:
        return json.loads(_SAMPLE)  # type: ignore[no-any-return]
    event = _SAMPLE.encode()
    for step in entry.transforms:
        edited = apply_transforms(transforms_json([step]), event)
        # A filter drops the sample, and leaves others as they are.
        event = event if edited is None else edited
    found = json.loads(event)
    return found if isinstance(found, dict) else {}

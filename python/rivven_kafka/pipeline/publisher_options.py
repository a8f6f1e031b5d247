"""How the records of a source are published, whoever publishes them."""

from __future__ import annotations

from typing import Any

from rivven_kafka.config import DeliveryGuarantee, OnTombstone, SourceEntry, ValueFormat, transforms_json
from rivven_kafka.errors import ConfigError


def publisher_options(entry: SourceEntry) -> dict[str, Any]:
    """Arguments of a publisher for the records of a source, beside how to reach Rivven and `on_bad`."""
    config = entry.config
    return {
        "value_format": config.value_format,
        "partitioning": config.partitioning,
        "connections": config.connections,
        "max_batch_records": config.max_batch_records,
        "max_request_bytes": config.max_request_size,
        "include_headers": config.include_headers,
        "include_key": config.include_key,
        "on_tombstone": "fail" if config.on_tombstone is OnTombstone.DEAD_LETTER else config.on_tombstone,
        "transforms": transforms_json(entry.transforms),
    }


def require_shared(name: str, entry: SourceEntry, command: str) -> None:
    """Makes sure that somebody beside the source may write to its Rivven topics.

    Raises:
        ConfigError: The source recognises records by their order, so another record would stop it.
    """
    config = entry.config
    if config.delivery_guarantee is DeliveryGuarantee.EXACTLY_ONCE and config.value_format is ValueFormat.RAW:
        raise ConfigError(
            f"sources.{name}.config.delivery_guarantee: got exactly_once with value_format raw: {command} "
            "would write to a Rivven topic that the source needs for itself: expected at_least_once, or "
            "value_format event"
        )

"""What exactly-once delivery commits beside a Kafka position, in the metadata of the commit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from rivven_kafka.errors import ConfigError

Anchor = tuple[str, int, int]
"""Rivven topic, partition, and the lowest offset of a record, there or to come, that no position covers."""

MAX_METADATA_BYTES = 4_096
"""Kafka's default of `offset.metadata.max.bytes`."""

_VERSION = 1
_DIGITS = 12
"""Of an offset: what fits now has to fit when the logs have grown."""


@dataclass(frozen=True)
class Commitment:
    """The state of one Kafka partition at a commit.

    Attributes:
        topic_id: Kafka's id of the topic: a topic that is deleted and created again has another.
        topic: The Rivven topic.
        value_format: What the values in Rivven hold, `event` or `raw`.
        anchors: From where on records that the position does not cover can lie in Rivven, by partition.
        identity: Number of the publisher that holds the partition; None when it has let go, with everything
            settled.
        connections: How many connections that publisher has at most.
    """

    topic_id: str
    topic: str
    value_format: str
    anchors: dict[int, int]
    identity: int | None = None
    connections: int = 0

    @classmethod
    def of(
        cls,
        topic_id: str,
        topic: str,
        anchors: Sequence[Anchor],
        value_format: str,
        identity: int | None,
        connections: int,
    ) -> Commitment:
        """The commitment for what the publisher reports."""
        by_partition = {partition: offset for _, partition, offset in anchors}
        connections = 0 if identity is None else connections
        return cls(topic_id, topic, str(value_format), by_partition, identity, connections)

    def anchor_list(self) -> list[Anchor]:
        """The anchors in the form that the publisher takes."""
        return [(self.topic, partition, offset) for partition, offset in self.anchors.items()]

    def dump(self) -> str:
        """The text to commit.

        Raises:
            ConfigError: It is longer than Kafka takes: there are too many Rivven partitions.
        """
        fields: dict[str, object] = {
            "rivven-kafka": _VERSION,
            "id": self.topic_id,
            "to": self.topic,
            "as": self.value_format,
            "at": self.anchors,
        }
        if self.identity is not None:
            fields |= {"by": f"{self.identity:x}", "connections": self.connections}
        text = json.dumps(fields, separators=(",", ":"))
        room = sum(max(0, _DIGITS - len(str(offset))) for offset in self.anchors.values())
        if len(text) + room > MAX_METADATA_BYTES:
            raise ConfigError(
                f"delivery_guarantee: got exactly_once with {len(self.anchors)} Rivven partitions: their "
                f"offsets take up to {len(text) + room} bytes, and Kafka stores {MAX_METADATA_BYTES} with a "
                "position: expected fewer partitions, or partitioning: preserve",
                topic=self.topic,
            )
        return text

    @classmethod
    def load(cls, text: str) -> Commitment | None:
        """Reads the metadata of a commit; None if it is something else."""
        try:
            fields = json.loads(text)
            if fields["rivven-kafka"] != _VERSION:
                return None
            by = fields.get("by")
            return cls(
                str(fields["id"]),
                str(fields["to"]),
                str(fields["as"]),
                {int(partition): int(offset) for partition, offset in fields["at"].items()},
                None if by is None else int(by, 16),
                int(fields.get("connections", 0)),
            )
        except (AttributeError, KeyError, TypeError, ValueError):
            return None

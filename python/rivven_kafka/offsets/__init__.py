"""Offsets of Kafka and of Rivven that mean the same, and consumer groups that go from one to the other."""

from rivven_kafka.offsets.migrate import migrate_groups
from rivven_kafka.offsets.place import Place, parse_place
from rivven_kafka.offsets.report import (
    GroupPosition,
    Method,
    Migration,
    Move,
    Status,
    Translation,
)
from rivven_kafka.offsets.translate import translate_offsets

__all__ = [
    "GroupPosition",
    "Method",
    "Migration",
    "Move",
    "Place",
    "Status",
    "Translation",
    "migrate_groups",
    "parse_place",
    "translate_offsets",
]

"""Offsets of Kafka and of Rivven that mean the same, and consumer groups that go from one to the other."""

from rivven_kafka.offsets.back import return_groups
from rivven_kafka.offsets.migrate import migrate_groups
from rivven_kafka.offsets.place import Place, parse_place
from rivven_kafka.offsets.report import (
    GroupPosition,
    GroupReturn,
    Method,
    Migration,
    Move,
    Return,
    Status,
    Translation,
)
from rivven_kafka.offsets.translate import translate_offsets

__all__ = [
    "GroupPosition",
    "GroupReturn",
    "Method",
    "Migration",
    "Move",
    "Place",
    "Return",
    "Status",
    "Translation",
    "migrate_groups",
    "parse_place",
    "return_groups",
    "translate_offsets",
]

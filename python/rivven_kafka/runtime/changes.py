"""What is different between two configurations, for a process that goes over to the second one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rivven_kafka.config import ConnectConfig, SinkEntry, SourceEntry

if TYPE_CHECKING:
    from rivven_kafka.metrics import Direction

Key = tuple["Direction", str]
"""Direction and name of a connector: a source and a sink may have the same name."""


@dataclass(frozen=True)
class Changes:
    """Connectors by what becomes of them.

    Attributes:
        kept: They go on as they are.
        changed: They end, and begin anew with other options.
        added: They begin.
        removed: They end.
        ignored: Settings that are different, and matter only when a process starts.
    """

    kept: tuple[Key, ...]
    changed: tuple[Key, ...]
    added: tuple[Key, ...]
    removed: tuple[Key, ...]
    ignored: tuple[str, ...]


def entries(config: ConnectConfig) -> dict[Key, SourceEntry | SinkEntry]:
    """The connectors that are enabled, in the order of the file, sources first."""
    found: dict[Key, SourceEntry | SinkEntry] = {}
    found.update({("source", name): entry for name, entry in config.enabled_sources.items()})
    found.update({("sink", name): entry for name, entry in config.enabled_sinks.items()})
    return found


def changes(old: ConnectConfig, new: ConnectConfig) -> Changes:
    """Compares two configurations; values that were read from files count, secrets too."""
    before, after = entries(old), entries(new)
    everywhere = any(
        getattr(old.settings, name) != getattr(new.settings, name) for name in ("topic", "retry")
    )
    everywhere = everywhere or old.broker != new.broker
    both = [key for key in after if key in before]
    changed = tuple(key for key in both if everywhere or before[key] != after[key])
    return Changes(
        kept=tuple(key for key in both if key not in changed),
        changed=changed,
        added=tuple(key for key in after if key not in before),
        removed=tuple(key for key in before if key not in after),
        ignored=tuple(
            f"settings.{name}"
            for name in ("health", "metrics", "control", "otlp")
            if getattr(old.settings, name) != getattr(new.settings, name)
        ),
    )

"""Whether a report is of the migration that is asked for, and what goes on from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rivven_kafka.errors import ConfigError
from rivven_kafka.migrate.report import Outcome, Report


def resume(earlier: Report, found: Report, path: Path, *, by_pattern: bool) -> Report:
    """The earlier migration, with its snapshot, and how far its group has come by now.

    Args:
        earlier: What was stored.
        found: A snapshot of this moment.
        path: Where the earlier one was stored, for messages.
        by_pattern: Whether topics are selected by a pattern, so that there may be new ones.

    Raises:
        ConfigError: They are not of the same migration. It names what is different.
    """
    differences = list(_differences(earlier, found))
    before, by_now = (
        {each.topic: each for each in earlier.topics},
        {each.topic: each for each in found.topics},
    )
    new = sorted(by_now.keys() - before.keys())
    if new and not by_pattern:
        differences.append(f"topic {new[0]!r} is not in it")
    for name, topic in before.items():
        now = by_now.get(name)
        if now is None:
            differences.append(f"topic {name!r} is in it, and is not to be copied now, or does not exist")
        elif now.topic_id != topic.topic_id:
            differences.append(f"topic {name!r} was deleted and created again since")
        elif now.destination != topic.destination:
            differences.append(
                f"topic {name!r} went to Rivven topic {topic.destination!r}, and now to {now.destination!r}"
            )
    if differences:
        raise ConfigError(
            f"--report: {path} is the report of another migration: {differences[0]}: expected another file, "
            f"or --restart, which forgets it"
        )
    if new:
        note = f"not in the snapshot, because they appeared later: {', '.join(new)}"
        earlier.notes = [each for each in earlier.notes if not each.startswith("not in the snapshot")]
        earlier.notes.append(note)
    if earlier.finished is not None:
        # Kafka forgets what a group has committed, after a while: only the report knows that nothing is to be
        # copied any more, whatever has happened to the comparison.
        if not earlier.outcome.is_copied:
            earlier.settle(Outcome.COPIED)
        return earlier
    states = {(topic.topic, each.partition): each for topic, each in found.partitions()}
    for topic, each in earlier.partitions():
        state = states.get((topic.topic, each.partition))
        # What the group has committed is the truth, also where the file says more.
        each.position = max(each.start, (state and state.committed) or 0)
        if state is not None:
            each.lose(each.position, state.log_start)
    return earlier


def _differences(earlier: Report, found: Report) -> Iterator[str]:
    for what, before, now in (
        ("source", earlier.source, found.source),
        ("Kafka cluster", earlier.kafka_cluster, found.kafka_cluster),
        ("Rivven", ", ".join(earlier.rivven), ", ".join(found.rivven)),
        ("consumer group", earlier.group, found.group),
        ("value_format", earlier.options.get("value_format"), found.options["value_format"]),
        ("isolation_level", earlier.options.get("isolation_level"), found.options["isolation_level"]),
        ("partitioning", earlier.options.get("partitioning"), found.options["partitioning"]),
    ):
        if before != now:
            yield f"its {what} is {before!r}, not {now!r}"

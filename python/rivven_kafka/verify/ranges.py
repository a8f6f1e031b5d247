"""Which offsets of each Kafka partition are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rivven_kafka.errors import ConfigError
from rivven_kafka.kafka.group_state import PartitionState
from rivven_kafka.reading.kafka_log import Place


@dataclass(frozen=True)
class Range:
    """Offsets of a Kafka partition.

    Attributes:
        start: The first that is compared.
        end: The one behind the last.
        undecided: Offsets before the end of which nobody knows whether they were to be copied.
    """

    start: int
    end: int
    undecided: int = 0


@dataclass(frozen=True)
class Wanted:
    """What was asked for.

    Attributes:
        starts: First offsets; else what Kafka still holds, as far as the source was to copy it.
        ends: Offsets behind the last; else the committed ones.
        to_end: Whether to compare up to the ends of Kafka's logs instead of the committed offsets.
    """

    starts: Mapping[Place, int]
    ends: Mapping[Place, int]
    to_end: bool = False


def range_of(place: Place, state: PartitionState, wanted: Wanted, first_copied: int | None) -> Range:
    """The range of a partition.

    Args:
        place: Kafka topic and partition.
        state: How it stands.
        wanted: What was asked for.
        first_copied: Where the source began, None if nothing tells.

    Raises:
        ConfigError: What was asked for does not exist.
    """
    start, end = wanted.starts.get(place), wanted.ends.get(place)
    name = f"{place[0]}:{place[1]}"
    for offset in (start, end):
        if offset is not None and not 0 <= offset <= state.end:
            raise ConfigError(
                f"range of {name}: got offset {offset}: expected at least 0 and at most the end of the "
                f"partition, {state.end}"
            )
    if end is None:
        end = state.end if wanted.to_end else min(state.committed or 0, state.end)
    if start is None and first_copied is None:
        return Range(end, end, undecided=max(0, end - state.start))
    begin = first_copied if start is None else start
    # What Kafka has deleted cannot be compared any more.
    first = max(begin or 0, state.start)
    return Range(min(first, max(end, state.start)), max(end, first))


def notes_on(
    group: str, ranges: Mapping[Place, Range], states: Mapping[Place, PartitionState], wanted: Wanted
) -> list[str]:
    """What to know about the ranges."""
    notes = []
    silent = [
        f"{topic}:{number}"
        for (topic, number), state in states.items()
        if state.committed is None and (topic, number) not in wanted.ends and not wanted.to_end
    ]
    if silent:
        notes.append(
            f"group {group!r} has no committed offset in {', '.join(silent)}: nothing of it is compared"
        )
    for place, found in ranges.items():
        name, asked = f"{place[0]}:{place[1]}", wanted.starts.get(place)
        if found.undecided:
            notes.append(
                f"start_offset is latest, and Rivven holds nothing of {name}: nothing tells where the source "
                f"began, so {found.undecided} offsets of it are not compared; --partition names a range"
            )
        if asked is not None and asked < states[place].start:
            notes.append(f"Kafka has deleted {name} before {states[place].start}: it is compared from there")
    return notes

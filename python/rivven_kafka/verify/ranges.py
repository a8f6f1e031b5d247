"""Which offsets of each Kafka partition are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rivven_kafka.errors import ConfigError
from rivven_kafka.kafka.group_state import PartitionState
from rivven_kafka.reading.kafka_log import Place


@dataclass(frozen=True)
class Range:
    """Offsets of a Kafka partition.

    Attributes:
        start: The first that is compared.
        end: The one behind the last.
        undecided: Offsets besides that cannot be compared, so that nothing is proved of them.
        unknown_start: Nothing tells where the source began.
    """

    start: int
    end: int
    undecided: int = 0
    unknown_start: bool = False


@dataclass(frozen=True)
class Wanted:
    """What was asked for.

    Attributes:
        starts: First offsets; else what Kafka still holds, as far as the source was to copy it.
        ends: Offsets behind the last; else the committed ones.
        to_end: Whether to compare up to the ends of Kafka's logs instead of the committed offsets.
        due: From where on up to `ends` something has to be left to compare; else from where the range would
            begin if Kafka had deleted nothing.
    """

    starts: Mapping[Place, int]
    ends: Mapping[Place, int]
    to_end: bool = False
    due: Mapping[Place, int] = field(default_factory=dict)

    def committed_only(self, place: Place) -> bool:
        """Whether a partition is compared up to its committed offset."""
        return place not in self.ends and not self.to_end


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
        known = state.end if state.committed is None and wanted.committed_only(place) else end
        lost = max(known - state.start, _deleted_unread(state))
        return Range(end, end, max(0, lost), unknown_start=True)
    begin = (first_copied or 0) if start is None else start
    # What Kafka has deleted cannot be compared any more.
    first = max(begin, state.start)
    return Range(first, max(end, first), _lost(place, state, wanted, begin, end))


def _lost(place: Place, state: PartitionState, wanted: Wanted, begin: int, end: int) -> int:
    """Offsets of which nothing is proved, because there is nothing to compare."""
    if wanted.committed_only(place):
        first = max(begin, state.start)
        return max(0, state.end - first) if state.committed is None else _deleted_unread(state)
    due = wanted.due.get(place, begin)
    # A part may be deleted: what is left is compared, and a note tells of the part.
    if place in wanted.ends or state.committed is None:
        return end - due if due < end <= state.start else 0
    return _deleted_unread(state)


def _deleted_unread(state: PartitionState) -> int:
    """Offsets that Kafka has deleted before the group had committed them."""
    return 0 if state.committed is None else max(0, state.start - state.committed)


def notes_on(
    group: str, ranges: Mapping[Place, Range], states: Mapping[Place, PartitionState], wanted: Wanted
) -> list[str]:
    """What to know about the ranges."""
    silent = [
        f"{topic}:{number}"
        for (topic, number), state in states.items()
        if state.committed is None and wanted.committed_only((topic, number))
    ]
    notes = []
    if silent:
        notes.append(
            f"group {group!r} has no committed offset in {', '.join(silent)}: nothing of it is compared"
        )
    for place, found in ranges.items():
        note = _note_on(place, found, states[place], wanted)
        if note is not None and not (found.undecided and f"{place[0]}:{place[1]}" in silent):
            notes.append(note)
    return notes


def _note_on(place: Place, found: Range, state: PartitionState, wanted: Wanted) -> str | None:
    name, deleted = f"{place[0]}:{place[1]}", f"Kafka has deleted {place[0]}:{place[1]} before {state.start}"
    empty = found.start == found.end
    if found.unknown_start and found.undecided:
        return (
            f"start_offset is latest, and Rivven holds nothing of {name}: nothing tells where the source "
            f"began, so {found.undecided} offsets of it are not compared; --partition names a range"
        )
    if found.undecided:
        if place not in wanted.ends and state.committed is not None:
            return (
                f"{deleted}, and the group had committed {state.committed} only: nothing tells what became "
                f"of {found.undecided} offsets"
            )
        return f"{deleted}: nothing is left of {found.undecided} offsets that were to be compared"
    if empty and 0 < state.start == found.end:
        return f"{deleted}: nothing of it is left to compare"
    asked = wanted.due.get(place, wanted.starts.get(place, 0 if place in wanted.ends else None))
    if asked is not None and asked < state.start:
        gone = f"{asked}-{state.start - 1}"
        return f"{deleted}: it is compared from there, and of offsets {gone} nothing is proved"
    return None

"""Taking the positions of Rivven consumer groups back to Kafka."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from rivven_kafka._native import OffsetMap
from rivven_kafka.config import BrokerConfig, Settings, SourceEntry
from rivven_kafka.errors import ConfigError, RivvenKafkaError
from rivven_kafka.kafka.group_offsets import committed_offsets, write_committed
from rivven_kafka.kafka.groups import has_members
from rivven_kafka.offsets.copied import CopiedLogs, KafkaPlace
from rivven_kafka.offsets.migrate import OWN_GROUPS, Target
from rivven_kafka.offsets.report import GroupReturn, Move, Return, Status, unsettled_note
from rivven_kafka.reading.patience import patiently


def return_groups(
    name: str,
    entry: SourceEntry,
    broker: BrokerConfig,
    settings: Settings,
    groups: Collection[str],
    *,
    apply: bool = False,
    leave_out: Collection[str] = (),
    progress: Callable[[str], None] = lambda _: None,
) -> Return:
    """Translates what consumer groups have committed in a source's Rivven topics, and commits it in Kafka.

    The way back of `migrate_groups`, for groups of the same name. A position in Kafka is only ever moved
    forward, and never over a record that the group has not read in Rivven. Nothing is changed in Rivven.

    Args:
        name: Name of the source.
        entry: Its section.
        broker: How to reach Rivven.
        settings: What holds for all connectors of the file.
        groups: Names of the groups.
        apply: Whether to commit; else nothing is written anywhere.
        leave_out: Groups that are never moved, besides those of the source itself and of sinks.
        progress: Told what is being done.

    Raises:
        ConfigError: `groups` cannot be used, or the options of the source do not allow it.
        RivvenKafkaError: A broker cannot be reached or refuses, or Rivven holds records of an earlier Kafka
            topic of the name. What was committed stays.
    """
    own = {entry.config.consumer_group, *leave_out}
    for group in groups:
        if group in own or group.startswith(OWN_GROUPS):
            raise ConfigError(f"groups: got {group!r}, which belongs to a connector: expected another one")
    with CopiedLogs(name, entry, broker, settings, progress) as logs:
        places = [(topic, number) for topic, count in logs.topics.items() for number in range(count)]
        places = [place for place in places if logs.exists(place[0])]
        now, unsettled = patiently(
            lambda: _committed(logs, groups, places), settled=lambda answer: not answer[1]
        )
        settled = [group for group in groups if group not in unsettled]
        read = {
            (group, *target): logs.client.committed_offset(group, *target)
            for group in settled
            for target in sorted({to for place in places for to in logs.destinations(place)})
        }
        maps: dict[Target, OffsetMap] = {}
        report = Return(name, applied=apply, unsettled=unsettled)
        report.notes += map(unsettled_note, unsettled)
        for group in settled:
            mine = {target[1:]: offset for target, offset in read.items() if target[0] == group}
            moves = [
                at
                for place in places
                if (at := _position(logs, group, place, now.get((group, *place)), mine, maps)) is not None
            ]
            if not moves:
                report.unknown.append(group)
                report.notes.append(f"group {group!r} has committed nothing in Rivven")
            report.positions += moves
            if moves and has_members(logs.admin, group):
                for at in moves:
                    at.move = Move.ACTIVE
            elif apply:
                _commit(logs, group, moves)
        report.notes += [f"cannot be read in Rivven: {span}" for span in sorted(set(logs.unreadable))]
        return report


def _committed(
    logs: CopiedLogs, groups: Collection[str], places: Collection[KafkaPlace]
) -> tuple[dict[tuple[str, str, int], int], list[str]]:
    """What groups have committed in Kafka, and the groups of which it does not tell now."""

    def ask(some: Collection[str]) -> dict[tuple[str, str, int], tuple[int, str]] | None:
        return committed_offsets(
            logs.admin, [(group, *place) for group in some for place in places], stable=True
        )

    found, unsettled = ask(groups), []
    if found is None:
        # One of them holds up the answer for all.
        each = {group: ask([group]) for group in groups}
        unsettled = [group for group, its in each.items() if its is None]
        found = {place: at for its in each.values() if its is not None for place, at in its.items()}
    return {place: offset for place, (offset, _) in found.items()}, unsettled


def _position(
    logs: CopiedLogs,
    group: str,
    place: KafkaPlace,
    now: int | None,
    read: Mapping[Target, int | None],
    maps: dict[Target, OffsetMap],
) -> GroupReturn | None:
    """The lowest Kafka offset that was not read in any Rivven partition; None if nothing was committed there.

    A Rivven partition in which the group has committed nothing counts as not read, if it holds records of the
    Kafka partition. What belongs in Rivven behind the last record that was read, and is not there, was not
    read either.
    """
    targets = logs.destinations(place)
    if all(read[target] is None for target in targets):
        return None
    for target in targets:
        if target not in maps:
            maps[target] = logs.whole(*target)
    _require_present_topic(logs, place, [maps[target] for target in targets])
    unread = [maps[target].kafka_from(*place, read[target] or 0) for target in targets]
    copied = logs.all_copied_to(place, [maps[target] for target in targets])
    offset = min([copied, *(found[0] for found in unread if found is not None)])
    reached = max((_reached(maps[target], place, read[target]) for target in targets), default=0)
    lost = reached < offset and logs.belongs_in_rivven(place, reached, offset)
    if lost:
        # What Kafka has deleted is no place to go on at.
        offset = max(reached, logs.states[place].start)
    again = sum(maps[target].read_above(*place, offset, read[target] or 0) for target in targets)
    move = Move.MOVE if now is None or now < offset else Move.SAME if now == offset else Move.KEPT
    rivven = [(*target, at) for target in targets if (at := read[target]) is not None]
    status = Status.MISSING if lost else Status.READ_AGAIN if again else Status.EXACT
    return GroupReturn(group, rivven, *place, now, offset, status, again, move)


def _reached(found: OffsetMap, place: KafkaPlace, read: int | None) -> int:
    """The Kafka offset behind all that was read in a Rivven partition; 0 if nothing that is there was."""
    return found.reached(*place, read or 0) or 0


def _require_present_topic(logs: CopiedLogs, place: KafkaPlace, maps: Collection[OffsetMap]) -> None:
    """Makes sure that what was copied of a Kafka partition can be of the topic that there is now.

    Raises:
        RivvenKafkaError: Kafka does not reach so far.
    """
    copied = logs.copied_to(place, maps)
    # Asked only here, behind the reading of Rivven: Kafka may have grown since its state was asked.
    if copied > logs.states[place].end and copied > (end := logs.log_end(place)):
        topic, number = place
        raise RivvenKafkaError(
            f"Kafka {topic}:{number} ends at offset {end}, but was copied as far as offset {copied - 1}: "
            f"Rivven seems to hold records of an earlier topic of the name, which cannot be told from those "
            f"of this one"
        )


def _commit(logs: CopiedLogs, group: str, positions: Collection[GroupReturn]) -> None:
    moving = [at for at in positions if at.move is Move.MOVE]
    offsets = {(at.kafka_topic, at.kafka_partition): (at.offset, "") for at in moving}
    write_committed(logs.admin, group, offsets)
    for at in moving:
        at.move = Move.MOVED

"""Taking the positions of Kafka consumer groups over to Rivven."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from rivven_kafka._native import OffsetMap, RivvenClient
from rivven_kafka.config import BrokerConfig, Settings, SourceEntry
from rivven_kafka.errors import ConfigError
from rivven_kafka.kafka.groups import ConsumerGroup, consumer_groups
from rivven_kafka.offsets.copied import CopiedLogs, KafkaPlace
from rivven_kafka.offsets.report import GroupPosition, Migration, Move, Status, unsettled_note
from rivven_kafka.offsets.translate import position
from rivven_kafka.reading.patience import patiently

OWN_GROUPS = "rivven-kafka:"
"""How the names of groups begin in which sinks keep their positions."""

GROUP_PLACEHOLDER = "{group}"

_RIVVEN_GROUP = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")

_WORST_FIRST = (Status.MISSING, Status.NOT_COPIED, Status.READ_AGAIN, Status.EXACT)

Target = tuple[str, int]
"""Rivven topic and partition."""


def migrate_groups(
    name: str,
    entry: SourceEntry,
    broker: BrokerConfig,
    settings: Settings,
    groups: Collection[str] | None = None,
    *,
    apply: bool = False,
    to_group: str = GROUP_PLACEHOLDER,
    allow_active: bool = False,
    partial: bool = False,
    leave_out: Collection[str] = (),
    reserved: Collection[str] = (),
    scan: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> Migration:
    """Translates what consumer groups have committed in a source's Kafka topics, and commits it in Rivven.

    A position in Rivven is only ever moved forward, and never so far that a record is left out that the group
    has not read in Kafka. Nothing is changed in Kafka. It can be repeated at any time, also while the source
    runs: what is done stays done.

    Args:
        name: Name of the source.
        entry: Its section.
        broker: How to reach Rivven.
        settings: What holds for all connectors of the file.
        groups: Names of the groups; all that have committed offsets in these topics if None.
        apply: Whether to commit; else nothing is written anywhere.
        to_group: Name of the group in Rivven; `{group}` in it stands for that in Kafka.
        allow_active: Also move groups that have members in Kafka.
        partial: Also move positions where Rivven lacks records: to the end, if the group is ahead of the
            copy, and to the next record there is.
        leave_out: Groups that are never moved, besides those of the source itself and of sinks.
        reserved: Groups in Rivven that must not be written: those of sinks.
        scan: Read the whole of each Rivven partition instead of searching it.
        progress: Told what is being done.

    Raises:
        ConfigError: `groups` or `to_group` cannot be used, or the options of the source do not allow it.
        RivvenKafkaError: A broker cannot be reached or refuses. What was committed stays.
    """
    own = {entry.config.consumer_group, *leave_out}
    for group in groups or ():
        if group in own or group.startswith(OWN_GROUPS):
            raise ConfigError(f"groups: got {group!r}, which belongs to a connector: expected another one")
    with CopiedLogs(name, entry, broker, settings, progress) as logs:

        def wanted(group: str) -> bool:
            named = groups is None or group in groups
            return named and group not in own and not group.startswith(OWN_GROUPS)

        found, unsettled = patiently(
            lambda: consumer_groups(logs.admin, logs.topics, wanted), settled=lambda answer: not answer[1]
        )
        # What the groups have read by now and the source has copied is in Rivven.
        logs.ask_kafka()
        names = _rivven_names(found, to_group, reserved)
        report = Migration(name, applied=apply)
        report.unsettled = unsettled
        report.notes += map(unsettled_note, unsettled)
        report.unknown = sorted(set(groups or ()) - {group.name for group in found} - set(unsettled))
        for missing in report.unknown:
            report.notes.append(f"group {missing!r} has no committed offset in {entry.config.topics_text}")
        topics = sorted({topic for group in found for topic, _ in group.offsets})
        report.absent = [topic for topic in topics if not logs.exists(topic)]
        for topic in report.absent:
            report.notes.append(
                f"Kafka topic {topic!r}: Rivven topic {entry.destination(topic)!r} does not exist yet"
            )
        found = [_without(group, report.absent) for group in found]
        report.positions = _Positions(logs, found, names, scan=scan).all()
        for at in report.positions:
            at.move = _move(at, found, allow_active=allow_active, partial=partial)
        if apply:
            _commit(logs.client, report.positions)
        report.notes += [f"cannot be read in Rivven: {span}" for span in sorted(set(logs.unreadable))]
        return report


def _rivven_names(
    groups: Iterable[ConsumerGroup], template: str, reserved: Collection[str]
) -> dict[str, str]:
    names = {group.name: template.replace(GROUP_PLACEHOLDER, group.name) for group in groups}
    if len(set(names.values())) < len(names):
        raise ConfigError(
            f"to_group: got {template!r} for {len(names)} groups: expected {GROUP_PLACEHOLDER} in it, or one "
            f"group"
        )
    for name in names.values():
        if name in reserved:
            raise ConfigError(
                f"to_group: got {template!r}, which makes {name!r}, the group of a sink: expected another one"
            )
    return names


def _without(group: ConsumerGroup, topics: Collection[str]) -> ConsumerGroup:
    return replace(group, offsets={at: offset for at, offset in group.offsets.items() if at[0] not in topics})


class _Positions:
    """The positions of groups in Rivven partitions, each of which is read once."""

    def __init__(
        self, logs: CopiedLogs, groups: Sequence[ConsumerGroup], names: Mapping[str, str], *, scan: bool
    ) -> None:
        self._logs = logs
        self._groups = groups
        self._names = names
        self._scan = scan

    def all(self) -> list[GroupPosition]:
        """By group, topic and partition."""
        asked: dict[Target, dict[KafkaPlace, set[int]]] = {}
        for group in self._groups:
            for place, offset in self._places(group):
                for target in self._logs.destinations(place):
                    asked.setdefault(target, {}).setdefault(place, set()).add(offset)
        maps = {
            target: self._logs.map_for(*target, offsets, scan=self._scan)[0]
            for target, offsets in sorted(asked.items())
        }
        return [at for group in self._groups for at in self._of_group(group, maps)]

    def _places(self, group: ConsumerGroup) -> list[tuple[KafkaPlace, int]]:
        """The offsets of a group, also in partitions of its topics in which it has committed none.

        Where several Kafka partitions go to one Rivven partition, that has one position for all of them, and
        the records of such a partition count as not read.
        """
        places = [*group.offsets.items()]
        topics = {topic for topic, _ in group.offsets}
        for topic in sorted(topics):
            for number in range(self._logs.topics[topic]):
                place = topic, number
                shared = any(len(self._logs.origins(*to)) > 1 for to in self._logs.destinations(place))
                if place not in group.offsets and shared:
                    places.append((place, 0))
        return places

    def _of_group(self, group: ConsumerGroup, maps: Mapping[Target, OffsetMap]) -> Iterable[GroupPosition]:
        by_target: dict[Target, list[tuple[KafkaPlace, int]]] = {}
        for place, offset in self._places(group):
            for target in self._logs.destinations(place):
                by_target.setdefault(target, []).append((place, offset))
        for target, kafka in sorted(by_target.items()):
            yield self._at(group, target, kafka, maps)

    def _at(
        self,
        group: ConsumerGroup,
        target: Target,
        kafka: Sequence[tuple[KafkaPlace, int]],
        maps: Mapping[Target, OffsetMap],
    ) -> GroupPosition:
        """The position from which nothing is missing of any of the Kafka partitions."""
        found = maps[target]
        each = []
        for place, offset in kafka:
            copied = [maps[to] for to in self._logs.destinations(place)]
            rivven, _, status, _ = position(self._logs, place, offset, found, copied)
            each.append((rivven, status))
        lowest = min(rivven for rivven, _ in each)
        again = sum(found.below(*place, offset, lowest) for place, offset in kafka)
        statuses = {status for _, status in each} | ({Status.READ_AGAIN} if again else {Status.EXACT})
        to_group = self._names[group.name]
        named = _RIVVEN_GROUP.fullmatch(to_group) is not None
        return GroupPosition(
            group=group.name,
            to_group=to_group,
            kafka=[(*place, offset) for place, offset in kafka],
            rivven_topic=target[0],
            rivven_partition=target[1],
            now=self._logs.client.committed_offset(to_group, *target) if named else None,
            offset=lowest,
            status=next(status for status in _WORST_FIRST if status in statuses),
            again=again,
            move=Move.MOVE if named else Move.BAD_NAME,
        )


def _move(at: GroupPosition, groups: Iterable[ConsumerGroup], *, allow_active: bool, partial: bool) -> Move:
    if at.move is Move.BAD_NAME:
        return Move.BAD_NAME
    lacking = {Status.NOT_COPIED: Move.NOT_COPIED, Status.MISSING: Move.MISSING}.get(at.status)
    if lacking is not None and not partial:
        return lacking
    if at.now is not None and at.offset < at.now:
        return Move.KEPT
    if at.offset == at.now:
        return Move.SAME
    if not allow_active and any(group.active for group in groups if group.name == at.group):
        return Move.ACTIVE
    return Move.MOVE


def _commit(client: RivvenClient, positions: Iterable[GroupPosition]) -> None:
    moving: dict[str, list[GroupPosition]] = {}
    for at in positions:
        if at.move is Move.MOVE:
            moving.setdefault(at.to_group, []).append(at)
    for group, each in moving.items():
        # Once more, as near to the commit as can be: somebody may read in this group by now.
        for at in each:
            now = client.committed_offset(group, at.rivven_topic, at.rivven_partition)
            if now is not None and now > at.offset:
                at.now, at.move = now, Move.KEPT
        left = [at for at in each if at.move is Move.MOVE]
        client.commit_offsets(
            group, [(at.rivven_topic, at.rivven_partition, at.offset) for at in left], durable=True
        )
        for at in left:
            at.move = Move.MOVED

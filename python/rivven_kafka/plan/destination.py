"""What Rivven has in the place where a source would write."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import TypeAdapter, ValidationError

from rivven_kafka._native import PositionIndex, RivvenClient
from rivven_kafka.config import (
    DeliveryGuarantee,
    SourceEntry,
    StartOffset,
    TopicSettings,
    ValueFormat,
)
from rivven_kafka.config.settings import MAX_PARTITIONS
from rivven_kafka.config.values import RivvenTopic
from rivven_kafka.errors import ConfigError, RivvenKafkaError, UnknownTopicError
from rivven_kafka.kafka.inventory import TopicFacts
from rivven_kafka.pipeline.destination import require_fit, wanted_partitions
from rivven_kafka.plan.model import Finding, Severity
from rivven_kafka.reading.kafka_log import Place

_NAME = TypeAdapter(RivvenTopic)
_LOOKED_AT = 200
"""Records at either end of a Rivven partition that are looked at."""


@dataclass
class Destination:
    """A Rivven topic.

    Attributes:
        name: Its name.
        kafka_topics: The Kafka topics that go there, and their partitions.
        others: Further sources of the file that fill it.
        exists: Whether it is there; None if Rivven could not be asked.
        partitions: What it has, or would get; None if it would not be made.
        records: What it holds.
        foreign: Records near its ends that are none of these Kafka topics; None if that cannot be told.
        held: Of Kafka partitions, the highest offset that is known to be there.
        problems: Why the source would refuse it: code, reason and remedy.
    """

    name: str
    kafka_topics: Mapping[str, int]
    others: tuple[str, ...] = ()
    exists: bool | None = None
    partitions: int | None = None
    records: int = 0
    foreign: int | None = None
    held: dict[Place, int] = field(default_factory=dict)
    problems: list[tuple[str, str, str]] = field(default_factory=list)


def name_problem(name: str) -> str | None:
    """Why Rivven refuses a topic of that name; None if it does not."""
    try:
        _NAME.validate_python(name)
    except ValidationError as error:
        return re.sub("^Value error, ", "", error.errors()[0]["msg"])
    return None


def look_at(
    client: RivvenClient | None,
    entry: SourceEntry,
    settings: TopicSettings,
    destination: Destination,
    ids: Mapping[str, str | None],
) -> None:
    """Fills in what Rivven has, and what a source would refuse; only metadata and records are read.

    Args:
        client: Connection to Rivven; None if there is none.
        entry: The source.
        settings: Defaults for the creation of topics.
        destination: Where to note it.
        ids: Ids of the Kafka topics, by name.
    """
    problem = name_problem(destination.name)
    if problem is not None:
        rename = 'another name: put something in front of {topic}, as in topic: "kafka.{topic}"'
        destination.problems.append(
            ("name", f"Rivven refuses the name {destination.name!r}: {problem}", rename)
        )
        return
    try:
        count = None if client is None else client.partition_count(destination.name)
        destination.exists = None if client is None else count is not None
        if count is None:
            count = wanted_partitions(entry, settings, destination.name, destination.kafka_topics)
            if count > MAX_PARTITIONS:
                fewer = "partitioning: key, with topic_config.partitions"
                text = f"Rivven makes topics of at most {MAX_PARTITIONS} partitions, not of {count}"
                destination.problems.append(("partitions", text, fewer))
        destination.partitions = count
        require_fit(entry, settings, destination.name, count, destination.kafka_topics)
    except UnknownTopicError as error:
        remedy = "make the Rivven topic, or set topic_config.auto_create"
        destination.problems.append(("missing", str(error.args[0]), remedy))
    except ConfigError as error:
        remedy = "partitioning: key, or another Rivven topic"
        destination.problems.append(("partitions", str(error.args[0]), remedy))
    if client is not None and destination.exists:
        _look_into(client, entry, destination, ids)


def _look_into(
    client: RivvenClient, entry: SourceEntry, destination: Destination, ids: Mapping[str, str | None]
) -> None:
    topics = {name: ids.get(name) for name in destination.kafka_topics}
    index = None
    if entry.config.value_format is ValueFormat.EVENT:
        index = PositionIndex(destination.name, topics)
    try:
        for number in range(client.partition_count(destination.name) or 0):
            start, end = client.offset_bounds(destination.name, number)
            destination.records += end - start
            if index is None or start >= end:
                continue
            for offset in sorted({start, max(start, end - _LOOKED_AT)}):
                index.feed(client.fetch(destination.name, number, offset, _LOOKED_AT))
            last = PositionIndex(destination.name, topics)
            last.feed(client.fetch(destination.name, number, end - 1, 1))
            _note_held(destination, last)
    except RivvenKafkaError as error:
        destination.problems.append(
            ("unreadable", f"Rivven topic {destination.name!r}: {error}", "see repair")
        )
    if index is not None:
        _note_held(destination, index)
        # What other sources have put there is not of these topics, and belongs there all the same.
        destination.foreign = None if destination.others else index.foreign


def _note_held(destination: Destination, index: PositionIndex) -> None:
    for name, count in destination.kafka_topics.items():
        for number in range(count):
            lowest = index.lowest(name, number)
            if lowest is not None:
                destination.held[name, number] = max(lowest, destination.held.get((name, number), 0))


def judge_destination(
    entry: SourceEntry, destination: Destination, facts: Mapping[str, TopicFacts]
) -> list[Finding]:
    """What follows from where the records go.

    Args:
        entry: The source.
        destination: The Rivven topic.
        facts: The Kafka topics that go there, by name.
    """
    topic = next(iter(destination.kafka_topics)) if len(destination.kafka_topics) == 1 else None
    findings = [
        Finding(code, Severity.BLOCKS, text, topic, remedy=remedy)
        for code, text, remedy in destination.problems
    ]
    findings += _shared(entry, destination)
    if destination.exists is False and not destination.problems:
        count = destination.partitions
        text = f"Rivven topic {destination.name!r} would be made, with {count} partition"
        findings.append(Finding("new_topic", Severity.INFO, text + ("" if count == 1 else "s"), topic))
    known = [facts[name] for name in destination.kafka_topics]
    if not destination.records and any(_covered(each) for each in known):
        text = (
            f"the group has committed offsets, so what lies before them counts as copied, but Rivven topic "
            f"{destination.name!r} holds nothing"
        )
        remedy = "another consumer_group"
        findings.append(Finding("committed", Severity.LOSSY, text, topic, remedy=remedy))
    if destination.records:
        findings.append(_held(entry, destination, topic, known))
    return findings


def _shared(entry: SourceEntry, destination: Destination) -> list[Finding]:
    """Several origins of one Rivven topic."""
    names = sorted(destination.kafka_topics)
    if len(names) < 2 and not destination.others:
        return []
    origins = ", ".join(map(repr, names))
    if destination.others:
        origins += f" and those of the sources {', '.join(destination.others)}"
    text = f"Kafka topics {origins} go to one Rivven topic, {destination.name!r}"
    remedy = "a Rivven topic for each, with {topic} in its name"
    raw = entry.config.value_format is ValueFormat.RAW
    if raw and entry.config.delivery_guarantee is DeliveryGuarantee.EXACTLY_ONCE:
        text += "; raw values are delivered exactly once only to a topic of their own"
        return [Finding("collision", Severity.BLOCKS, text, remedy=remedy)]
    if raw:
        text += "; nothing tells in raw format where a value came from"
        return [Finding("collision", Severity.LOSSY, text, remedy=remedy)]
    return [Finding("collision", Severity.INFO, text + "; each event tells its topic")]


def _covered(facts: TopicFacts) -> int:
    """How many offsets lie before the positions of the group."""
    starts = {number: each.start for number, each in enumerate(facts.partitions) if each.leader}
    return sum(max(0, at - starts[number]) for number, at in facts.committed.items() if number in starts)


def _ahead(entry: SourceEntry, facts: TopicFacts) -> dict[Place, int]:
    """Where the source goes on in each partition, where something is left to copy."""
    latest = entry.config.start_offset is StartOffset.LATEST and facts.positions_known
    begins = {
        number: max(each.start, facts.committed.get(number, each.end if latest else each.start))
        for number, each in enumerate(facts.partitions)
    }
    return {
        (facts.name, number): begins[number]
        for number, each in enumerate(facts.partitions)
        if begins[number] < each.end
    }


def _held(
    entry: SourceEntry, destination: Destination, topic: str | None, known: list[TopicFacts]
) -> Finding:
    """What it means that a Rivven topic is not empty."""
    text = f"Rivven topic {destination.name!r} holds {destination.records} records already"
    raw = entry.config.value_format is ValueFormat.RAW
    exactly_once = entry.config.delivery_guarantee is DeliveryGuarantee.EXACTLY_ONCE
    another = "another Rivven topic"
    if destination.foreign:
        text += f"; of those near its ends, {destination.foreign} come from elsewhere"
        return Finding("foreign", Severity.LOSSY, text, topic, destination.foreign, another)
    ahead = {place: at for facts in known for place, at in _ahead(entry, facts).items()}
    if exactly_once and not raw:
        text += ", from these Kafka topics: they are recognised, and not published again"
        return Finding("holds_records", Severity.INFO, text, topic)
    if not ahead:
        return Finding("holds_records", Severity.INFO, text + ", and nothing of Kafka is left to copy", topic)
    if exactly_once:
        committed = {(facts.name, number) for facts in known for number in facts.committed}
        if ahead.keys() <= committed:
            return Finding(
                "holds_records", Severity.INFO, text + ", and the group has committed offsets", topic
            )
        text += ", which have to be the first ones of Kafka: the source stops where they are not"
        return Finding("holds_records", Severity.WARNING, text, topic, remedy=another)
    return _published_again(destination, text, topic, known, ahead)


def _published_again(
    destination: Destination,
    text: str,
    topic: str | None,
    known: list[TopicFacts],
    ahead: Mapping[Place, int],
) -> Finding:
    """Whether Rivven holds records that an at_least_once source has before it."""
    remedy = "another Rivven topic, or exactly_once"
    covered = sum(map(_covered, known))
    repeated = any(destination.held.get(place, -1) >= at for place, at in ahead.items())
    told = all(place in destination.held for place in ahead)
    if not repeated and (told or destination.records <= covered):
        text += ", and the group has committed offsets behind them"
        return Finding("holds_records", Severity.INFO, text, topic)
    if not repeated and destination.others:
        text += "; whether other sources have put all of them there is not known"
        return Finding("holds_records", Severity.WARNING, text, topic, remedy=remedy)
    if not all(each.positions_known for each in known):
        text += ", and what the group has committed is not known: everything may be published behind them"
    elif not any(each.committed for each in known):
        text += ", and the group has no committed offsets: everything would be published behind them"
    else:
        text += (
            f", and the group's offsets leave no more than {covered} behind: others would be published again"
        )
    return Finding("holds_records", Severity.LOSSY, text, topic, remedy=remedy)

"""Whether exactly-once delivery would refuse what the group has committed, or would have to commit."""

from __future__ import annotations

from collections.abc import Iterator

from rivven_kafka.config import DeliveryGuarantee, Partitioning, SourceEntry, ValueFormat
from rivven_kafka.errors import ConfigError
from rivven_kafka.kafka.inventory import TopicFacts
from rivven_kafka.pipeline.anchors import Commitment
from rivven_kafka.plan.destination import Destination
from rivven_kafka.plan.model import Finding, Severity

_LARGEST_IDENTITY = 2**64 - 1


def judge_guarantee(entry: SourceEntry, facts: TopicFacts, destination: Destination) -> Iterator[Finding]:
    """What keeps a source from delivering exactly once, in the words of the source where it has some.

    Args:
        entry: The source.
        facts: A Kafka topic.
        destination: Where its records go.
    """
    if entry.config.delivery_guarantee is not DeliveryGuarantee.EXACTLY_ONCE:
        return
    for text, remedy in [*_positions(entry, facts), *_anchors(entry, facts, destination)]:
        yield Finding("guarantee", Severity.BLOCKS, text, facts.name, remedy=remedy)


def _positions(entry: SourceEntry, facts: TopicFacts) -> Iterator[tuple[str, str]]:
    """The first position of each kind that would be refused."""
    raw = entry.config.value_format is ValueFormat.RAW
    another = "another consumer_group, or value_format: event"
    told = set()
    for number, offset in sorted(facts.committed.items()):
        commitment = Commitment.load(facts.metadata.get(number, ""))
        if commitment is not None and commitment.topic_id != facts.topic_id:
            # The topic was made anew, and is read from its beginning.
            continue
        if raw and commitment is None:
            text = "the group has committed offsets without it, and which records of Rivven they cover is not"
            found = f"{text} known in raw format", another
        elif raw and number < len(facts.partitions) and offset > facts.partitions[number].end:
            text = "the group has committed offsets beyond the end of the topic, and which records of Rivven"
            found = f"{text} they cover is not known in raw format", another
        elif (
            commitment is not None
            and commitment.identity is not None
            and commitment.value_format != entry.config.value_format
        ):
            text = (
                f"the source was last at work with value_format {commitment.value_format}, and has not "
                "stopped in order"
            )
            found = text, f"let it run with value_format: {commitment.value_format}, and stop it"
        else:
            continue
        if found not in told:
            told.add(found)
            yield f"delivery_guarantee: exactly_once is refused: {found[0]} (partition {number})", found[1]


def _anchors(entry: SourceEntry, facts: TopicFacts, destination: Destination) -> Iterator[tuple[str, str]]:
    """Whether what is committed beside a position would be too long for Kafka."""
    count = destination.partitions or 0
    if entry.config.partitioning is Partitioning.PRESERVE or not count:
        return
    commitment = Commitment(
        facts.topic_id or "",
        destination.name,
        str(entry.config.value_format),
        dict.fromkeys(range(count), 0),
        _LARGEST_IDENTITY,
        entry.config.connections,
    )
    try:
        commitment.dump()
    except ConfigError as error:
        yield str(error.args[0]), "fewer Rivven partitions, or partitioning: preserve"

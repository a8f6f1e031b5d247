"""What there is of Kafka topics: partitions, offsets, sizes, configs, and the groups that read them.

Nothing is written. Kafka makes its topic of offsets when it is asked for the coordinator of a group, so
groups are looked at only where it lists some, or does not list them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from kafka import KafkaAdminClient, TopicPartition
from kafka import errors as kafka_errors
from kafka.protocol.consumer import OffsetSpec
from kafka.structs import OffsetAndMetadata

from rivven_kafka.kafka.admin import Admin, TopicConfig
from rivven_kafka.kafka.connect import connected
from rivven_kafka.kafka.errors import translate
from rivven_kafka.kafka.topic_ids import topic_id_text

_SHARE = "share"
"""The type of groups that commit no offsets."""


@dataclass(frozen=True)
class PartitionFacts:
    """One partition.

    Attributes:
        replicas: How many brokers keep it.
        in_sync: How many of them have all of it.
        leader: Whether it can be read and written.
        start: Offset of its first record; 0 without a leader, and so are the other offsets.
        end: Offset that its next record gets.
        stable_end: Offset of the first open transaction, or the end.
        since_hour: Offsets given since an hour ago, by the timestamps of the records.
        since_day: The same since a day ago.
        size_bytes: What its leader keeps of it on disk; None if the user may not see it.
    """

    replicas: int
    in_sync: int
    leader: bool = True
    start: int = 0
    end: int = 0
    stable_end: int = 0
    since_hour: int = 0
    since_day: int = 0
    size_bytes: int | None = None


@dataclass(frozen=True)
class TopicFacts:
    """One topic.

    Attributes:
        name: Its name.
        topic_id: Its id, None before Kafka 2.8.
        partitions: By number.
        configs: Its options; None if the user may not see them.
        groups: Names of the groups with offsets in it; None if the user may not see them.
        committed: Offsets that the source's own group has committed, by partition.
        metadata: What it has committed beside them.
        positions_known: Whether it could be asked for them.
    """

    name: str
    topic_id: str | None
    partitions: tuple[PartitionFacts, ...]
    configs: Mapping[str, TopicConfig] | None = None
    groups: tuple[str, ...] | None = ()
    committed: Mapping[int, int] = field(default_factory=dict)
    metadata: Mapping[int, str] = field(default_factory=dict)
    positions_known: bool = True

    def policy(self) -> str:
        """The cleanup policy, empty if it is not known."""
        config = (self.configs or {}).get("cleanup.policy")
        return "" if config is None else config.value or ""

    @property
    def compacted(self) -> bool:
        """Whether older records of a key are deleted."""
        return "compact" in self.policy()


def take_inventory(
    options: Mapping[str, Any], topics: Sequence[str], group: str, now_ms: int
) -> dict[str, TopicFacts]:
    """Describes topics; those that do not exist are left out.

    Args:
        options: Options of kafka-python's clients, see `connection_options`.
        topics: Their names.
        group: The source's own group.
        now_ms: From when on an hour and a day are counted back (ms).

    Raises:
        ConnectError: No bootstrap broker answers within the request timeout.
        AuthenticationError: The brokers do not accept the credentials.
        BrokerError: A broker refuses to tell the offsets.
    """
    with Admin(options) as admin:
        configs = admin.topic_configs(topics)
    try:
        with closing(connected(KafkaAdminClient, options)) as client:
            described = [topic for topic in client.describe_topics(list(topics)) if not topic["error_code"]]
            offsets = _offsets(client, described, now_ms)
            sizes = _sizes(client, described)
            committed = _committed(client, group)
    except kafka_errors.KafkaError as error:
        raise translate(error, "cannot take the inventory of Kafka") from error
    return {
        topic["name"]: _facts(topic, offsets, sizes, committed, group, configs.get(topic["name"]))
        for topic in described
    }


def _facts(
    topic: Mapping[str, Any],
    offsets: Mapping[TopicPartition, tuple[int, ...]],
    sizes: Mapping[TopicPartition, int] | None,
    committed: _Committed,
    group: str,
    configs: Mapping[str, TopicConfig] | None,
) -> TopicFacts:
    name = topic["name"]
    partitions = []
    for number, each in enumerate(_by_number(topic)):
        tp = TopicPartition(name, number)
        size = None if sizes is None else sizes.get(tp)
        copies = len(each["replica_nodes"]), len(each["isr_nodes"])
        found = offsets.get(tp)
        if found is None:
            partitions.append(PartitionFacts(*copies, leader=False, size_bytes=size))
        else:
            start, end, stable, hour, day = found
            partitions.append(PartitionFacts(*copies, True, start, end, stable, hour, day, size))
    own = {tp.partition: at for tp, at in (committed.own or {}).items() if tp.topic == name}
    others = sorted(
        other
        for other, places in (committed.groups or {}).items()
        if other != group and any(tp.topic == name for tp in places)
    )
    return TopicFacts(
        name,
        topic_id_text(topic.get("topic_id")),
        tuple(partitions),
        configs,
        None if committed.groups is None else tuple(others),
        {number: at.offset for number, at in own.items()},
        {number: at.metadata for number, at in own.items()},
        positions_known=committed.own is not None,
    )


def _by_number(topic: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return sorted(topic["partitions"], key=lambda each: int(each["partition_index"]))


def _offsets(
    client: KafkaAdminClient, topics: Iterable[Mapping[str, Any]], now_ms: int
) -> dict[TopicPartition, tuple[int, ...]]:
    """Start, end, stable end, and the offsets given in an hour and in a day, where there is a leader."""
    places = [
        TopicPartition(topic["name"], number)
        for topic in topics
        for number, each in enumerate(_by_number(topic))
        if each["leader_id"] >= 0
    ]
    if not places:
        return {}

    def ask(spec: object, isolation: str = "read_uncommitted") -> dict[TopicPartition, int]:
        found = client.list_partition_offsets(dict.fromkeys(places, spec), isolation)
        return {tp: at.offset for tp, at in found.items()}

    # In this order, no later answer lies before an earlier one.
    start, stable = ask(OffsetSpec.EARLIEST), ask(OffsetSpec.LATEST, "read_committed")
    hour, day = ask(now_ms - 3_600_000), ask(now_ms - 86_400_000)
    end = ask(OffsetSpec.LATEST)

    def since(tp: TopicPartition, found: Mapping[TopicPartition, int]) -> int:
        return end[tp] - found[tp] if found[tp] >= 0 else 0

    return {tp: (start[tp], end[tp], stable[tp], since(tp, hour), since(tp, day)) for tp in places}


def _sizes(client: KafkaAdminClient, topics: Iterable[Mapping[str, Any]]) -> dict[TopicPartition, int] | None:
    """Bytes on the disk of the leader (else of any replica), None if the user may not see them."""
    partitions = {topic["name"]: range(len(topic["partitions"])) for topic in topics}
    leaders = {
        TopicPartition(topic["name"], each["partition_index"]): each["leader_id"]
        for topic in topics
        for each in topic["partitions"]
    }
    try:
        brokers = client.describe_log_dirs({name: list(numbers) for name, numbers in partitions.items()})
    except kafka_errors.KafkaError:
        return None
    sizes: dict[TopicPartition, int] = {}
    for broker in brokers:
        for directory in broker["log_dirs"]:
            for topic in directory["topics"] or ():
                for each in topic["partitions"]:
                    tp = TopicPartition(topic["name"], each["partition_index"])
                    if each["is_future_key"] or (tp in sizes and leaders.get(tp) != broker["broker"]):
                        continue
                    sizes[tp] = each["partition_size"]
    return sizes or None


_Positions = dict[TopicPartition, OffsetAndMetadata]


@dataclass(frozen=True)
class _Committed:
    """What groups have committed.

    Attributes:
        groups: By group; None if the groups cannot be listed.
        own: That of the source's own group; None if it cannot be asked for.
    """

    groups: Mapping[str, _Positions] | None
    own: _Positions | None


def _committed(client: KafkaAdminClient, group: str) -> _Committed:
    """The offsets that all groups have committed, as far as the user may see them and brokers answer."""
    try:
        listed = client.list_groups()
    except kafka_errors.KafkaError:
        # One broker that is away takes the list along, not the coordinator of the group.
        return _Committed(None, _positions(client, [group]).get(group))
    groups = [each["group_id"] for each in listed if each.get("group_type") != _SHARE]
    found: dict[str, _Positions] = {}
    if groups:
        try:
            found = _positions_of(client, groups)
        except kafka_errors.KafkaError:
            # One that may not be read takes the answers of all others along.
            found = _positions(client, groups)
    return _Committed(found, found.get(group, None if group in groups else {}))


def _positions(client: KafkaAdminClient, groups: Iterable[str]) -> dict[str, _Positions]:
    """The offsets of each group that can be asked, one by one."""
    found: dict[str, _Positions] = {}
    for name in groups:
        try:
            found |= _positions_of(client, [name])
        except kafka_errors.KafkaError:
            continue
    return found


def _positions_of(client: KafkaAdminClient, groups: Iterable[str]) -> dict[str, _Positions]:
    found = client.list_group_offsets(dict.fromkeys(groups))
    return {name: {tp: at for tp, at in offsets.items() if at.offset >= 0} for name, offsets in found.items()}

"""The Rivven topics of a source: found, or created with the right number of partitions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping

from rivven_kafka._native import Publisher, RivvenClient
from rivven_kafka.config import (
    DeliveryGuarantee,
    Partitioning,
    SourceEntry,
    TopicSettings,
    ValueFormat,
)
from rivven_kafka.errors import ConfigError, UnknownTopicError

log = logging.getLogger(__name__)


def prepare_topic(
    client: RivvenClient,
    entry: SourceEntry,
    settings: TopicSettings,
    topic: str,
    kafka_topics: Mapping[str, int],
) -> int:
    """Makes sure that a Rivven topic can take what Kafka has.

    Args:
        client: Connection to Rivven.
        entry: The source.
        settings: Defaults for the creation of topics.
        topic: The Rivven topic.
        kafka_topics: The Kafka topics that go to it, and their partitions.

    Returns:
        The partitions of the Rivven topic.

    Raises:
        UnknownTopicError: The topic does not exist and is not to be created.
        ConfigError: `partitioning: preserve`, and Rivven has fewer partitions than Kafka; or
            `validate_existing`, and the topic has another number than a new one would get.
    """
    count = client.partition_count(topic)
    if count is None:
        wanted = wanted_partitions(entry, settings, topic, kafka_topics)
        if client.create_topic(topic, wanted):
            log.info("created Rivven topic with %d partitions", wanted, extra={"topic": topic})
        count = client.partition_count(topic) or wanted
    require_fit(entry, settings, topic, count, kafka_topics)
    return count


def wanted_partitions(
    entry: SourceEntry, settings: TopicSettings, topic: str, kafka_topics: Mapping[str, int]
) -> int:
    """How many partitions a Rivven topic gets when it is created.

    Raises:
        UnknownTopicError: It is not to be created.
    """
    auto_create = entry.topic_config.auto_create
    if not (settings.auto_create if auto_create is None else auto_create):
        raise UnknownTopicError(
            f"Rivven topic {topic!r} does not exist; create it, or set topic_config.auto_create",
            topic=topic,
        )
    return _partitions_of_new(entry, settings, kafka_topics)


def _partitions_of_new(entry: SourceEntry, settings: TopicSettings, kafka_topics: Mapping[str, int]) -> int:
    preserve = entry.config.partitioning is Partitioning.PRESERVE
    most = max(kafka_topics.values(), default=0)
    return entry.topic_config.partitions or (most if preserve else settings.default_partitions)


def require_fit(
    entry: SourceEntry, settings: TopicSettings, topic: str, count: int, kafka_topics: Mapping[str, int]
) -> None:
    """Makes sure that a Rivven topic of `count` partitions can take those of Kafka topics.

    Raises:
        ConfigError: `partitioning: preserve`, and Rivven has fewer partitions than Kafka; or
            `validate_existing`, and the topic has another number than a new one would get.
    """
    for name, partitions in kafka_topics.items():
        if entry.config.partitioning is Partitioning.PRESERVE and count < partitions:
            raise ConfigError(
                f"partitioning: got preserve, but Rivven topic {topic!r} has {count} partitions and Kafka "
                f"topic {name!r} has {partitions}; expected at least as many, or partitioning: key",
                topic=topic,
            )
    wanted = _partitions_of_new(entry, settings, kafka_topics)
    if settings.validate_existing and wanted and count != wanted:
        raise ConfigError(
            f"settings.topic.validate_existing: Rivven topic {topic!r} has {count} partitions: expected "
            f"{wanted}, as a new one would get",
            topic=topic,
        )


def by_destination(entry: SourceEntry, kafka_topics: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """The Rivven topics of a source, each with the Kafka topics that go to it and their partitions."""
    groups: dict[str, dict[str, int]] = {}
    for name, partitions in kafka_topics.items():
        groups.setdefault(entry.destination(name), {})[name] = partitions
    return groups


class Destinations:
    """The routes from Kafka topics to Rivven topics.

    Args:
        client: Connection to Rivven.
        entry: The source.
        settings: Defaults for the creation of topics.
        publisher: Gets a route for each Kafka topic.
        topic_id: Kafka's id of a topic; asked for only with exactly-once delivery by position.
    """

    def __init__(
        self,
        client: RivvenClient,
        entry: SourceEntry,
        settings: TopicSettings,
        publisher: Publisher,
        topic_id: Callable[[str], str | None],
    ) -> None:
        self._client = client
        self._entry = entry
        self._settings = settings
        self._publisher = publisher
        self._topic_id = topic_id
        self._exactly_once = entry.config.delivery_guarantee is DeliveryGuarantee.EXACTLY_ONCE
        self._routed: dict[str, int] = {}
        self._lanes: dict[str, int] = {}
        self._counts: dict[str, int] = {}

    def kafka_topics(self) -> Iterable[str]:
        """The Kafka topics that have a way."""
        return self._routed.keys()

    def covers(self, kafka_topic: str, partition: int) -> bool:
        """Whether there is a way for the records of a Kafka partition."""
        return partition < self._routed.get(kafka_topic, 0)

    def add(self, kafka_topics: Mapping[str, int]) -> None:
        """Prepares the Rivven topics for Kafka topics, and the ways there.

        Args:
            kafka_topics: Partitions of the Kafka topics, by name.

        Raises:
            UnknownTopicError: A Rivven topic does not exist and is not to be created.
            ConfigError: A Rivven topic does not fit.
        """
        # What a Rivven topic needs depends on all Kafka topics that go to it.
        groups = by_destination(self._entry, {**self._routed, **kafka_topics})
        changed = {self._entry.destination(name) for name in kafka_topics}
        groups = {topic: group for topic, group in groups.items() if topic in changed}
        counts = {
            topic: prepare_topic(self._client, self._entry, self._settings, topic, group)
            for topic, group in groups.items()
        }
        if self._exactly_once and self._entry.config.value_format is ValueFormat.RAW:
            self._require_one_origin(groups)
        if self._exactly_once:
            # A commit names the partitions that records may be in: by key, they do not go to later ones.
            preserve = self._entry.config.partitioning is Partitioning.PRESERVE
            counts = counts if preserve else {t: self._counts.setdefault(t, n) for t, n in counts.items()}
        lanes = self._lanes_per_partition(sum(counts.values()))
        for topic, group in groups.items():
            # A topic keeps its lanes, or keys would change theirs.
            lanes_of_topic = self._lanes.setdefault(topic, lanes)
            for name, partitions in group.items():
                # The publisher keeps the ids of the others, which may be gone by now.
                asked = self._exactly_once and name in kafka_topics
                self._publisher.add_route(
                    name,
                    topic,
                    counts[topic],
                    lanes_per_partition=lanes_of_topic,
                    topic_id=self._topic_id(name) if asked else None,
                )
                self._routed[name] = partitions

    @staticmethod
    def _require_one_origin(groups: Mapping[str, Mapping[str, int]]) -> None:
        for topic, group in groups.items():
            if len(group) > 1:
                first, second = sorted(group)[:2]
                raise ConfigError(
                    f"delivery_guarantee: got exactly_once with value_format raw, but Kafka topics {first!r} "
                    f"and {second!r} both go to Rivven topic {topic!r}: expected one Kafka topic for each",
                    topic=topic,
                )

    def _lanes_per_partition(self, rivven_partitions: int) -> int:
        """How many connections may write to one Rivven partition.

        One keeps the order of the partition. `ordering: key` keeps the order of each key only, so the
        connections are spread over the partitions: `rivvend` spends about 1.9 ms per record and connection.
        """
        if self._entry.config.ordering == "partition":
            return 1
        return max(1, self._entry.config.connections // max(1, rivven_partitions))

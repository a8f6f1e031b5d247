"""Topics that are deleted while they are read: what was read of them last cannot be committed.

Kafka takes the other positions of such a commit, and refuses those as of an unknown topic. kafka-python takes
that for something that passes, and tries again until the request timeout is over. Nothing is read meanwhile,
and the other members of the group wait.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import UnknownTopicOrPartitionError

log = logging.getLogger(__name__)


class LastOffsets(dict[TopicPartition, Any]):
    """Offsets to commit before partitions are let go; those of topics that are gone may be left out."""


class GoneTopics:
    """Notices the topics of a consumer that are gone, and leaves them out of `LastOffsets`.

    Args:
        consumer: Reads them. Its commits go through this from now on.
    """

    def __init__(self, consumer: KafkaConsumer) -> None:
        self._cluster = consumer._cluster
        self._told: set[str] = set()
        coordinator, cluster = consumer._coordinator, consumer._cluster
        send = coordinator._send_offset_commit_request

        async def sent(offsets: dict[TopicPartition, Any]) -> None:
            try:
                await send(offsets)
            except UnknownTopicOrPartitionError:
                # Both have to say so: a broker that has just started may not know all topics yet.
                # kafka-python tries again with the same `offsets`.
                cluster.request_update()
                if isinstance(offsets, LastOffsets):
                    self.notice({tp.topic for tp in offsets})
                    for tp in [tp for tp in offsets if not self._has(tp)]:
                        del offsets[tp]
                raise

        coordinator._send_offset_commit_request = sent

    def _has(self, place: TopicPartition) -> bool:
        """Whether the metadata have a partition: a topic that was made again may have fewer."""
        return place.partition in (self._cluster.partitions_for_topic(place.topic) or ())

    def notice(self, topics: Iterable[str]) -> set[str]:
        """Those of the topics that the metadata do not have any more; each is logged once."""
        topics = set(topics)
        gone = {topic for topic in topics if self._cluster.partitions_for_topic(topic) is None}
        for topic in sorted(gone - self._told):
            log.warning(
                "the source has lost a topic: it was deleted, or may not be seen any more; the others go on",
                extra={"topic": topic},
            )
        self._told = self._told - topics | gone
        return gone

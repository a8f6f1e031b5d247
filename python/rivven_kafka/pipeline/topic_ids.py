"""Topics that are deleted and created again: their offsets mean other records then."""

from __future__ import annotations

from collections.abc import Iterable

from rivven_kafka.kafka import BlockConsumer


class TopicIds:
    """The ids of Kafka topics, as they were first seen.

    Args:
        consumer: Knows the ids of now.
        known: What was seen before; kept up to date.
    """

    def __init__(self, consumer: BlockConsumer, known: dict[str, str | None]) -> None:
        self._consumer = consumer
        self._known = known

    def note(self, topics: Iterable[str]) -> None:
        """Notes the ids of topics that are not known yet."""
        for topic in topics:
            self._known.setdefault(topic, self._consumer.topic_id(topic))

    def created_again(self, topics: Iterable[str]) -> str | None:
        """The first of the topics that has another id than before, None if there is none."""
        for topic in topics:
            found = self._consumer.topic_id(topic)
            known = self._known[topic] = self._known.get(topic) or found
            if found not in (None, known):
                return topic
        return None

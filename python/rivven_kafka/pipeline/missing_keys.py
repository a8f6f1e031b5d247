"""Tells of values without the field that their Kafka key is made of."""

from __future__ import annotations

import logging

from rivven_kafka.pipeline.news import News

log = logging.getLogger(__name__)


class MissingKeys:
    """Logs how many records went out with their Rivven key instead, at most once a minute.

    Args:
        connector: Name of the sink.
        field: The field that they lack.
    """

    def __init__(self, connector: str, field: str | None) -> None:
        self._connector = connector
        self._field = field
        self._news = News()

    def look(self, count: int) -> None:
        """Logs what is new.

        Args:
            count: How many there were until now.
        """
        if new := self._news.of(count):
            log.warning(
                "%d records have no field %r: their key is the Rivven key (key_field)",
                new,
                self._field,
                extra={"connector": self._connector},
            )

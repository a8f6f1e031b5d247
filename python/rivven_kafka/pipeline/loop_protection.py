"""Loop protection: the names of both clusters in the marks of records, and the echoes that they refuse.

A record that is copied carries the topics it has been in; it is not written to one of them again. Native code
writes and reads the marks (`ext/src/bridge/via.rs`).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

from rivven_kafka.config import BrokerConfig, SinkEntry, SourceEntry
from rivven_kafka.errors import ConfigError
from rivven_kafka.kafka import admin_options
from rivven_kafka.kafka.admin import cluster_id
from rivven_kafka.pipeline.news import News

log = logging.getLogger(__name__)

_FITTING = re.compile(r"[A-Za-z0-9._-]+")


def source_protection(name: str, entry: SourceEntry, broker: BrokerConfig) -> dict[str, Any]:
    """Arguments of a publisher, or a position index, that marks the records of a source.

    Asks Kafka for its id, unless the configuration names the cluster; nothing without loop protection.

    Args:
        name: Client id, where the configuration gives none.
        entry: The section of the source.
        broker: What tells the name of the Rivven cluster.

    Raises:
        ConfigError: Kafka has no id, or one that does not fit into a mark.
        ConnectError: Kafka cannot be reached.
        AuthenticationError: Kafka does not accept the credentials.
    """
    if not entry.loop_protection:
        return {}
    kafka, rivven = _clusters(entry, broker, admin_options(entry.config, name))
    log.info("loop protection: from %s to %s", kafka, rivven, extra={"connector": name})
    return {"loop_protection": (kafka, rivven)}


def sink_protection(name: str, entry: SinkEntry, broker: BrokerConfig) -> tuple[str, str, str] | None:
    """What a sink's encoder marks records with: both clusters and the Kafka topic.

    None without loop protection.

    Args and errors are those of `source_protection`.
    """
    if not entry.loop_protection:
        return None
    kafka, rivven = _clusters(entry, broker, admin_options(entry.config, name))
    log.info("loop protection: from %s to %s", rivven, kafka, extra={"connector": name})
    return rivven, kafka, entry.config.topic


def _clusters(
    entry: SourceEntry | SinkEntry, broker: BrokerConfig, options: Mapping[str, Any]
) -> tuple[str, str]:
    kafka = entry.kafka_cluster_name or cluster_id(options)
    if kafka is None or not _FITTING.fullmatch(kafka):
        raise ConfigError(
            f"loop_protection: got true, but Kafka gives its id as {kafka!r}: expected kafka_cluster_name, a "
            "name for the cluster"
        )
    return f"kafka:{kafka}", f"rivven:{broker.cluster_name}"


class Echoes:
    """Logs how many records were not delivered because they had been there, at most once a minute.

    Args:
        connector: Name of the connector.
    """

    def __init__(self, connector: str) -> None:
        self._connector = connector
        self._news = News()

    def look(self, count: int) -> None:
        """Logs what is new.

        Args:
            count: How many there were until now.
        """
        if new := self._news.of(count):
            log.info(
                "refused %d records that have been in the topic they would go to (loop_protection)",
                new,
                extra={"connector": self._connector},
            )

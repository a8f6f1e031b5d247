"""Publishing missing records as the source would."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rivven_kafka._native import Publisher, RecordBlock, RivvenClient
from rivven_kafka.config import SourceEntry, TopicSettings
from rivven_kafka.pipeline.destination import Destinations
from rivven_kafka.pipeline.publisher_options import publisher_options

_WAIT_MS = 200


class MissingRecords:
    """Publishes records with the options of a source.

    Records go out in the order in which they are submitted, as far as `ordering` promises. The Rivven topics
    are made sure of as the source does it.

    Args:
        arguments: Arguments of the native clients, see `client_arguments`.
        entry: The source.
        settings: Defaults for the creation of topics.
        topics: Partitions of the Kafka topics, by name.
        ids: Ids of the Kafka topics, by name.
        protection: What `source_protection` gives.

    Raises:
        UnknownTopicError: A Rivven topic does not exist and is not to be created.
        ConfigError: A Rivven topic does not fit.
        ConnectError: Rivven cannot be reached.
    """

    def __init__(
        self,
        arguments: dict[str, Any],
        entry: SourceEntry,
        settings: TopicSettings,
        topics: Mapping[str, int],
        ids: Mapping[str, str | None],
        protection: Mapping[str, Any],
    ) -> None:
        config = entry.config
        self._most_bytes = config.max_in_flight_bytes
        self._client = RivvenClient(**arguments)
        self._publisher = Publisher(
            **arguments,
            **publisher_options(entry),
            **protection,
            on_bad="skip",
        )
        Destinations(self._client, entry, settings, self._publisher, ids.get).add(topics)

    def submit(self, block: RecordBlock) -> None:
        """Takes records of a Kafka partition, behind those before; waits while too many are on the way.

        Raises:
            RivvenKafkaError: Rivven has refused records, or cannot be reached any more.
        """
        self._publisher.submit(block)
        while self._publisher.in_flight_bytes() >= self._most_bytes:
            self._publisher.wait(_WAIT_MS)

    def finish(self) -> int:
        """Waits until Rivven has acknowledged everything; returns how many records it took.

        Raises:
            RivvenKafkaError: Rivven has refused records, or cannot be reached any more.
        """
        while self._publisher.in_flight_records():
            self._publisher.wait(_WAIT_MS)
        self._publisher.check()
        return int(self._publisher.stats()["records_published"])

    def close(self) -> None:
        """Ends the connections; what is not acknowledged by then may or may not be stored."""
        self._publisher.close(0)
        self._client.close()

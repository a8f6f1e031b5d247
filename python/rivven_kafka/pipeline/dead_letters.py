"""Records that can never be delivered, on their way to the dead letter topic."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from rivven_kafka._native import BadRecord, RivvenClient
from rivven_kafka.errors import DeliveryError, InvalidRequestError, RecordTooLargeError
from rivven_kafka.pipeline.letter import envelope

log = logging.getLogger(__name__)

_BATCH_RECORDS = 100
_BATCH_BYTES = 1024 * 1024


class DeadLetters:
    """Writes dead letters to a Rivven topic and waits until they are stored.

    Args:
        client: Connection to Rivven.
        topic: The dead letter topic; created with one partition if it does not exist.
        connector: Name of the connector.
        stored: Called with the cause of each letter that is stored.
    """

    def __init__(
        self,
        client: RivvenClient,
        topic: str,
        connector: str,
        stored: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._client = client
        self._topic = topic
        self._connector = connector
        self._stored = stored
        if client.partition_count(topic) is None and client.create_topic(topic, 1):
            log.info("created Rivven topic for dead letters", extra={"connector": connector, "topic": topic})

    def send(self, records: Sequence[tuple[BadRecord, str]]) -> None:
        """Writes the records, each with the topic it was to go to, and settles them.

        Delivery guarantee: a record is settled only when Rivven has stored its letter; after an error those
        that are not settled come again with the next run.

        Raises:
            DeliveryError: A letter is too large for Rivven.
            RivvenKafkaError: Rivven cannot be reached, or refuses.
        """
        batch: list[tuple[BadRecord, bytes | None, bytes]] = []
        size = 0
        for record, original_topic in records:
            key, letter = envelope(record, self._connector, original_topic)
            if batch and (len(batch) == _BATCH_RECORDS or size + len(letter) > _BATCH_BYTES):
                self._publish(batch)
                batch, size = [], 0
            batch.append((record, key, letter))
            size += len(letter)
        if batch:
            self._publish(batch)

    def _publish(self, batch: Sequence[tuple[BadRecord, bytes | None, bytes]]) -> None:
        first = batch[0][0]
        try:
            self._client.publish(self._topic, 0, [(key, letter) for _, key, letter in batch])
        except (InvalidRequestError, RecordTooLargeError) as error:
            raise DeliveryError(
                f"cannot write a dead letter to {self._topic!r}: {error}",
                topic=first.topic,
                partition=first.partition,
                offset=first.offset,
            ) from error
        for record, *_ in batch:
            record.settle()
            self._stored(record.cause)
            log.warning(
                "sent a record to dead letter topic %s: %s",
                self._topic,
                record.reason,
                extra={
                    "connector": self._connector,
                    "topic": record.topic,
                    "partition": record.partition,
                    "offset": record.offset,
                },
            )

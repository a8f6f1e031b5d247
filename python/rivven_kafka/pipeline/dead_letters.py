"""Records that can never be delivered, on their way to the dead letter topic.

The envelope is rivven-connect's (`original_topic`, `connector_name`, `payload_b64`, `error`, `retry_count`,
`timestamp`), and beside it all that is needed to send the record again: `position`, `key_b64`, `headers`,
`record_timestamp`.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rivven_kafka._native import BadRecord, RivvenClient
from rivven_kafka.errors import DeliveryError, InvalidRequestError, RecordTooLargeError

log = logging.getLogger(__name__)

_BATCH_RECORDS = 100
_BATCH_BYTES = 1024 * 1024


_LARGEST_LETTER = 10_000_000
"""Rivven takes 10,480,000 bytes in one request; the key of the record is among them (bytes)."""


def _name(text: str) -> str:
    """A header's name as text: bytes that are not UTF-8 are written as in Python's `repr`."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _base64(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def envelope(record: BadRecord, connector: str, original_topic: str, retry_count: int = 0) -> bytes:
    """A dead letter as JSON.

    Args:
        record: The record.
        connector: Name of the connector.
        original_topic: Where the record was to go.
        retry_count: How often its delivery was tried again.
    """
    letter: dict[str, Any] = {
        "original_topic": original_topic,
        "connector_name": connector,
        "payload_b64": _base64(record.value),
        "error": record.reason,
        "retry_count": retry_count,
        "timestamp": datetime.now(UTC).isoformat(),
        "position": f"{record.topic}:{record.partition}:{record.offset}",
        "key_b64": _base64(record.key),
        "headers": [[_name(name), _base64(value)] for name, value in record.headers],
        "record_timestamp": record.timestamp,
    }
    if _size(record) > _LARGEST_LETTER:
        letter |= {"payload_b64": None, "key_b64": None, "headers": []}
        letter["error"] += "; the record is too large for a letter, see position for where it is"
    return json.dumps(letter, ensure_ascii=False, separators=(",", ":")).encode()


def _size(record: BadRecord) -> int:
    """Bytes of a letter with all of the record, at most."""
    parts = [record.value, record.key, *(value for _, value in record.headers)]
    names = sum(len(name) for name, _ in record.headers)
    # The key is in the letter, and beside it as the key of the letter.
    return 4 * sum(len(part or b"") for part in parts) // 3 + len(record.key or b"") + 8 * names + 4_096


def _key(record: BadRecord) -> bytes | None:
    return None if _size(record) > _LARGEST_LETTER else record.key


class DeadLetters:
    """Writes dead letters to a Rivven topic and waits until they are stored.

    Args:
        client: Connection to Rivven.
        topic: The dead letter topic; created with one partition if it does not exist.
        connector: Name of the connector.
    """

    def __init__(self, client: RivvenClient, topic: str, connector: str) -> None:
        self._client = client
        self._topic = topic
        self._connector = connector
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
        batch: list[tuple[BadRecord, bytes]] = []
        size = 0
        for record, original_topic in records:
            letter = envelope(record, self._connector, original_topic)
            if batch and (len(batch) == _BATCH_RECORDS or size + len(letter) > _BATCH_BYTES):
                self._publish(batch)
                batch, size = [], 0
            batch.append((record, letter))
            size += len(letter)
        if batch:
            self._publish(batch)

    def _publish(self, batch: Sequence[tuple[BadRecord, bytes]]) -> None:
        first = batch[0][0]
        try:
            self._client.publish(self._topic, 0, [(_key(record), letter) for record, letter in batch])
        except (InvalidRequestError, RecordTooLargeError) as error:
            raise DeliveryError(
                f"cannot write a dead letter to {self._topic!r}: {error}",
                topic=first.topic,
                partition=first.partition,
                offset=first.offset,
            ) from error
        for record, _ in batch:
            record.settle()
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

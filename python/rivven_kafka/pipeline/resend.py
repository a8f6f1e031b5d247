"""Sending the records of dead letters again, to where their connector sends all others."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from rivven_kafka._native import Publisher, RecordBlock, RivvenClient, block_from_rows
from rivven_kafka.config import SinkEntry, SourceEntry, transforms_json
from rivven_kafka.errors import InvalidRequestError, RecordTooLargeError, TimeoutExpired, UnknownTopicError
from rivven_kafka.kafka import BatchProducer
from rivven_kafka.pipeline.letter import Letter
from rivven_kafka.pipeline.publisher_options import publisher_options
from rivven_kafka.sink import find_topic, producer_options, sink_encoder

Place = tuple[str, int, int]
"""A topic, a partition and an offset."""

_WAIT_MS = 100
_FILTERED = "left out: a filter of the transforms drops it"
_ECHO = "left out: it has been in the topic that it would go to"


@dataclass
class Unsent:
    """Records that are not stored, with the reason, by the index of their letter.

    Attributes:
        failed: Those that cannot be delivered.
        left_out: Those that the connector does not deliver: filtered, or held back by loop protection.
    """

    failed: dict[int, str] = field(default_factory=dict)
    left_out: dict[int, str] = field(default_factory=dict)


class Resend(Protocol):
    """The way to a destination."""

    def send(self, letters: Sequence[tuple[Place, Letter]]) -> Unsent:
        """Sends the records, and waits until they are stored.

        Args:
            letters: The letters, each with where it lies itself.

        Returns:
            The records that are not stored. All others are.

        Raises:
            RivvenKafkaError: Not all were sent, and it is not known which.
        """

    def close(self) -> None:
        """Ends the connections."""


def _block(place: Place, letter: Letter) -> RecordBlock:
    topic, partition, offset = place
    row = (letter.timestamp, letter.key, letter.value, letter.headers)
    return block_from_rows(topic, partition, [row], first_offset=offset)


def _note_left_out(unsent: Unsent, index: int, before: tuple[int, int], after: tuple[int, int]) -> None:
    """Notes why a record was left out, if it was: how many were filtered, and how many were echoes."""
    if after[0] > before[0]:
        unsent.left_out[index] = _FILTERED
    elif after[1] > before[1]:
        unsent.left_out[index] = _ECHO


class _Sent:
    """Which letter a record came from: several may be about the same record."""

    def __init__(self) -> None:
        self._indexes: dict[Place, list[int]] = {}

    def add(self, place: Place, index: int) -> None:
        self._indexes.setdefault(place, []).append(index)

    def take(self, place: Place) -> int:
        return self._indexes[place].pop(0)


class SourceResend:
    """Publishes to the Rivven topics of a source.

    Args:
        entry: The section of the source.
        arguments: How to reach Rivven.
        client: A connection to it.
        timeout_s: Longest time without an acknowledgement (s).
        protection: What `source_protection` gives.
    """

    def __init__(
        self,
        entry: SourceEntry,
        arguments: dict[str, Any],
        client: RivvenClient,
        timeout_s: float,
        protection: Mapping[str, Any] | None = None,
    ) -> None:
        self._entry = entry
        self._client = client
        self._timeout_s = timeout_s
        self._routed: set[str] = set()
        # The publisher tells how many records it has left out, and not which.
        self._one_by_one = bool(protection) or any(step.type == "filter" for step in entry.transforms)
        self._publisher = Publisher(
            **arguments,
            **publisher_options(entry),
            **(protection or {}),
            on_bad="hold",
        )

    def send(self, letters: Sequence[tuple[Place, Letter]]) -> Unsent:
        """See `Resend.send`."""
        unsent, sent = Unsent(), _Sent()
        for index, (_, letter) in enumerate(letters):
            if letter.position is None:
                reason = self._publish_as_is(letter)
                if reason is not None:
                    unsent.failed[index] = reason
                continue
            self._route(letter.position[0])
            sent.add(letter.position, index)
            before = self._left_out()
            self._publisher.submit(_block(letter.position, letter))
            if self._one_by_one:
                self._finish(unsent, sent)
                sent = _Sent()
                _note_left_out(unsent, index, before, self._left_out())
        self._finish(unsent, sent)
        return unsent

    def _left_out(self) -> tuple[int, int]:
        stats = self._publisher.stats()
        return stats["records_filtered"], stats["echoes_refused"]

    def _finish(self, unsent: Unsent, sent: _Sent) -> None:
        """Waits until Rivven has answered for everything that was submitted."""
        deadline, left = time.monotonic() + self._timeout_s, -1
        while self._publisher.in_flight_records():
            self._publisher.wait(_WAIT_MS)
            self._publisher.check()
            for bad in self._publisher.take_bad():
                unsent.failed[sent.take((bad.topic, bad.partition, bad.offset))] = bad.reason
                bad.settle()
            if self._publisher.in_flight_records() != left:
                left = self._publisher.in_flight_records()
                deadline = time.monotonic() + self._timeout_s
            elif time.monotonic() >= deadline:
                raise TimeoutExpired("Rivven has not acknowledged the records within request_timeout_ms")

    def _publish_as_is(self, letter: Letter) -> str | None:
        """The letters of rivven-connect hold what was to be published, events and all."""
        if letter.value is None:
            return "the letter has no payload"
        self._partitions(letter.original_topic)
        try:
            self._client.publish(letter.original_topic, 0, [(letter.key, letter.value)])
        except (InvalidRequestError, RecordTooLargeError) as error:
            return str(error)
        return None

    def _route(self, kafka_topic: str) -> None:
        if kafka_topic not in self._routed:
            topic = self._entry.destination(kafka_topic)
            self._publisher.add_route(kafka_topic, topic, self._partitions(topic))
            self._routed.add(kafka_topic)

    def _partitions(self, topic: str) -> int:
        count = self._client.partition_count(topic)
        if count is None:
            # Publishing would create it, with a number of partitions that nobody has chosen.
            raise UnknownTopicError(f"Rivven topic {topic!r} does not exist", topic=topic)
        return count

    def close(self) -> None:
        """Ends the connections."""
        self._publisher.close(0)


class SinkResend:
    """Writes to the Kafka topic of a sink.

    Without a transaction also where the sink has a transactional id: that would fence the sink.

    Args:
        name: Name of the sink.
        entry: Its section.
        protection: What `sink_protection` gives.
    """

    def __init__(self, name: str, entry: SinkEntry, protection: tuple[str, str, str] | None = None) -> None:
        config = entry.config
        if config.transactional_id is not None:
            config = config.model_copy(update={"transactional_id": None})
        self._config = config
        self._encoder = sink_encoder(
            config,
            find_topic(config, name).partitions,
            on_bad="hold",
            transforms=transforms_json(entry.transforms),
            loop_protection=protection,
        )
        self._producer = BatchProducer(producer_options(config, name), keep_refused=True)

    def send(self, letters: Sequence[tuple[Place, Letter]]) -> Unsent:
        """See `Resend.send`."""
        unsent, sent = Unsent(), _Sent()
        for index, (place, letter) in enumerate(letters):
            origin = letter.position or place
            before = self._left_out()
            for bad in self._encoder.append(_block(origin, letter)):
                unsent.failed[index] = bad.reason
                bad.settle()
            _note_left_out(unsent, index, before, self._left_out())
            if index not in unsent.failed and index not in unsent.left_out:
                sent.add(origin, index)
            self._producer.send(self._config.topic, self._encoder.take_ready(self._config.linger_ms))
        self._producer.send(self._config.topic, self._encoder.take_ready(0))
        if not self._producer.flush(self._config.delivery_timeout_ms / 1000):
            raise TimeoutExpired("Kafka has not acknowledged the records within delivery_timeout_ms")
        self._producer.check()
        for bad in self._producer.take_refused():
            unsent.failed[sent.take((bad.topic, bad.partition, bad.offset))] = bad.reason
            bad.settle()
        return unsent

    def _left_out(self) -> tuple[int, int]:
        return self._encoder.records_filtered(), self._encoder.echoes_refused()

    def close(self) -> None:
        """Ends the connections."""
        self._producer.close(0.0)

"""How encoded records of a sink reach Kafka, and which Rivven positions are safe after it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from rivven_kafka._native import BadRecord, SinkEncoder
from rivven_kafka.errors import RivvenKafkaError
from rivven_kafka.kafka import BatchProducer

Partition = tuple[str, int]
"""A Rivven topic and its partition."""
Aborted = Callable[[], bool]
"""Whether waiting is over."""
Confirm = Callable[[], bool]
"""Asks the group in Rivven whether the partitions still belong to this sink, and keeps the session alive."""
OnRefused = Callable[[Sequence[BadRecord]], None]
"""Does what `on_error` says with records that Kafka will never take, and settles them."""

_FLUSH_STEP_S = 0.1


class Delivery(Protocol):
    """What the loop of a sink asks of its delivery."""

    def take_over(self, partitions: Sequence[Partition], beat: Confirm) -> Mapping[Partition, int] | None:
        """Positions that Kafka holds for newly assigned partitions; None: ask again later."""

    def hold(self, positions: Mapping[Partition, int], confirm: Confirm) -> bool:
        """These partitions are read from these positions (next Rivven offset) on.

        False if they belong to this sink no more: nothing may be read.
        """

    def patience_ms(self, most_ms: int) -> int:
        """How long the loop may wait for records before it calls `advance` again (ms)."""

    def room(self) -> int | None:
        """How many records may be read now; None: any number."""

    def advance(self) -> None:
        """Sends what is ready; waits for nothing but the dead letters of records that Kafka refused.

        Raises:
            DeliveryError: Kafka does not take a batch.
            FencedError: Another process has taken over.
        """

    def skipped(self) -> None:
        """Positions moved without a record to send."""

    def take_positions(self) -> list[tuple[str, int, int]]:
        """Positions whose records are delivered, if they moved: topic, partition, next offset."""

    def let_go(self, timeout_s: float, aborted: Aborted) -> bool:
        """Delivers everything and lets the held partitions go; False if not done in time, or if aborted."""

    def give_up(self, timeout_s: float, aborted: Aborted) -> None:
        """Delivers what can still be delivered after an error, without raising another."""


class DirectDelivery:
    """Sends every batch as soon as it is ready.

    Delivery guarantee: at least once. What was sent after the last committed position is sent again after a
    crash.

    Args:
        producer: Where to send.
        encoder: Where from.
        topic: Destination topic.
        linger_ms: Longest wait for a batch to fill (ms).
        on_refused: Takes the records that Kafka will never take.
    """

    def __init__(
        self,
        producer: BatchProducer,
        encoder: SinkEncoder,
        topic: str,
        linger_ms: int,
        on_refused: OnRefused,
    ) -> None:
        self._producer = producer
        self._encoder = encoder
        self._topic = topic
        self._linger_ms = linger_ms
        self._on_refused = on_refused

    def take_over(self, partitions: Sequence[Partition], beat: Confirm) -> Mapping[Partition, int]:
        """Kafka holds no positions."""
        return {}

    def hold(self, positions: Mapping[Partition, int], confirm: Confirm) -> bool:
        """Nothing to note: who reads what belongs to others by now delivers some of it twice."""
        return True

    def patience_ms(self, most_ms: int) -> int:
        """Until the open batches have lingered."""
        return min(self._linger_ms, most_ms) if self._encoder.has_open() else most_ms

    def room(self) -> int | None:
        """As many as memory holds."""
        return None

    def advance(self) -> None:
        """Sends what is ready."""
        self._send(self._linger_ms)
        self._check()

    def skipped(self) -> None:
        """The next commit finds the positions."""

    def take_positions(self) -> list[tuple[str, int, int]]:
        """What Kafka has acknowledged."""
        return self._encoder.take_positions()

    def let_go(self, timeout_s: float, aborted: Aborted) -> bool:
        """Sends the rest and waits for the acknowledgements."""
        self._send(0)
        flushed = self._flush(timeout_s, aborted)
        self._check()
        return flushed

    def give_up(self, timeout_s: float, aborted: Aborted) -> None:
        """Sends the rest: what stands before a bad record is good."""
        # What stands behind one that is held would be sent once more by each run.
        if not self._encoder.records_held():
            with contextlib.suppress(RivvenKafkaError):
                self._send(0)
        self._flush(timeout_s, aborted)

    def _check(self) -> None:
        self._producer.check()
        refused = self._producer.take_refused()
        if refused:
            self._on_refused(refused)

    def _flush(self, timeout_s: float, aborted: Aborted) -> bool:
        deadline = time.monotonic() + timeout_s
        while not self._producer.flush(_FLUSH_STEP_S):
            if aborted() or time.monotonic() >= deadline:
                return False
        return True

    def _send(self, linger_ms: int) -> None:
        batches = self._encoder.take_ready(linger_ms)
        if batches:
            self._producer.send(self._topic, batches)

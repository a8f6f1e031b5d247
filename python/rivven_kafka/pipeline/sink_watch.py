"""What the loop of a sink tells its watchdog, and why a partition of Rivven may stand still."""

from __future__ import annotations

import time
from collections.abc import Callable

from rivven_kafka._native import Fetcher, RivvenClient, SinkEncoder
from rivven_kafka.config import OnLogDamage, SinkEntry
from rivven_kafka.errors import RivvenKafkaError
from rivven_kafka.kafka import BatchProducer
from rivven_kafka.pipeline.lag import FRESH, Lag, Partition, Positions
from rivven_kafka.pipeline.watchdog import Watchdog

_LONGEST_ASK_S = 5.0
# The markers of Rivven's transactions count as records of a question, and are left out of the answer.
_LOOK_RECORDS = 100


class SinkWatch:
    """The watch over one run of a sink. `reason` may be called from any thread.

    Args:
        watchdog: Who is told.
        client: Connection to Rivven, to ask for the ends of logs.
        fetcher: Where records come from.
        encoder: What holds those that are on their way.
        producer: Where they go.
        entry: The sink's section.
        take_positions: Returns the positions that moved since its last call.
    """

    def __init__(
        self,
        watchdog: Watchdog,
        client: RivvenClient,
        fetcher: Fetcher,
        encoder: SinkEncoder,
        producer: BatchProducer,
        entry: SinkEntry,
        take_positions: Callable[[], Positions],
    ) -> None:
        self._watchdog = watchdog
        self._client = client
        self._fetcher = fetcher
        self._encoder = encoder
        self._producer = producer
        self._entry = entry
        self._moved = watchdog.noting(take_positions)
        self._waiting: dict[Partition, int] = {}
        # Positions at the last question for the ends.
        self._stood: dict[Partition, int | None] = {}
        eighth_s = watchdog.timeout_s / 8
        self._ask_every_s = min(eighth_s, _LONGEST_ASK_S) if eighth_s else _LONGEST_ASK_S
        self._next_ask = 0.0
        watchdog.fresh_s = FRESH * self._ask_every_s
        self._seen = (-1, 0)
        self._full = False

    def full(self) -> None:
        """Nothing is read now, since too much is on its way or the rate is used up."""
        self._full = True

    def take_positions(self) -> Positions:
        """The positions that moved since the last call: topic, partition, next offset."""
        self._collect()
        waiting, self._waiting = self._waiting, {}
        return [(topic, partition, offset) for (topic, partition), offset in waiting.items()]

    def look(self, delivered: int) -> None:
        """Tells how far everything is.

        Args:
            delivered: Records that Kafka has acknowledged.
        """
        self._collect()
        now = time.monotonic()
        if now >= self._next_ask:
            self._ask()
            self._next_ask = time.monotonic() + self._ask_every_s
        if delivered != self._seen[0]:
            self._seen = (delivered, self._fetcher.stats()["retries"])
        full, self._full = self._full, False
        self._watchdog.times(self._encoder.times())
        self._watchdog.look(delivered, self._encoder.in_flight_records(), lambda _: full)

    def reason(self, partition: Partition) -> str:
        """What is known of why the partition stands still."""
        stats = self._fetcher.stats()
        if self._producer.in_flight:
            return f"Kafka does not acknowledge what was sent ({self._producer.in_flight} batches)"
        if self._encoder.records_held():
            return "a record that cannot be delivered is held back"
        if self._crowded():
            return "reading is paused: what is in flight has used up max_in_flight_bytes"
        if stats["retries"] > self._seen[1]:
            return "Rivven does not answer, or refuses, what is fetched"
        if stats["stalls"]:
            return "the Rivven log goes on, but its next record cannot be read"
        if self._entry.rate_limit.events_per_second:
            return "Rivven returns no records, or rate_limit.events_per_second lets none pass"
        return "Rivven does not answer, or returns no records; nothing else is known"

    def _collect(self) -> None:
        for topic, partition, offset in self._moved():
            self._waiting[topic, partition] = offset

    def _ask(self) -> None:
        ends: dict[Partition, int] = {}
        stood: dict[Partition, int | None] = {}
        with self._watchdog.doing("Rivven does not tell where its logs end"):
            for lag in self._watchdog.lag:
                try:
                    ends[lag.topic, lag.partition] = self._end(lag)
                except RivvenKafkaError:
                    # Whoever reads the partition finds out more; without an answer the end counts as unknown.
                    break
                stood[lag.topic, lag.partition] = lag.position
        self._stood = stood
        self._watchdog.ends(ends)

    def _end(self, lag: Lag) -> int:
        """The end of what there is to deliver of a partition."""
        first, end = self._client.offset_bounds(lag.topic, lag.partition)
        if lag.position is None:
            return end
        position = max(lag.position, first)
        deleted = position > lag.position
        if deleted and not self._encoder.in_flight_records((lag.topic, lag.partition)):
            # Nothing of what was before it will ever move the position.
            self._watchdog.moved([(lag.topic, lag.partition, position)])
        stands = self._stood.get((lag.topic, lag.partition)) == lag.position
        if end > position and stands and self._entry.config.on_log_damage is OnLogDamage.CONTINUE:
            # A log may end on the marker of a transaction, or on what a crash has made unreadable. With
            # `fail` the fetcher ends the run because of it.
            found = self._client.fetch(lag.topic, lag.partition, position, _LOOK_RECORDS)
            return end if len(found) else position
        return end

    def _crowded(self) -> bool:
        return self._encoder.in_flight_bytes() >= self._entry.config.max_in_flight_bytes // 2

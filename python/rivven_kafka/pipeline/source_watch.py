"""What the loop of a source tells its watchdog, and why a partition of Kafka may stand still."""

from __future__ import annotations

import time

from rivven_kafka._native import Publisher, RecordBlock
from rivven_kafka.config import SourceEntry
from rivven_kafka.kafka import BlockConsumer
from rivven_kafka.kafka.log_ends import LogEnds
from rivven_kafka.pipeline.lag import FRESH, Partition
from rivven_kafka.pipeline.until import Until
from rivven_kafka.pipeline.watchdog import Watchdog

# Also the lag is read from the ends of logs, so they are never much older than this.
_LONGEST_ASK_S = 5.0


class SourceWatch:
    """The watch over one run of a source. `reason` may be called from any thread.

    Args:
        watchdog: Who is told.
        consumer: Where records come from.
        publisher: Where they go.
        entry: The source's section.
        until: Where the source ends.
    """

    def __init__(
        self,
        watchdog: Watchdog,
        consumer: BlockConsumer,
        publisher: Publisher,
        entry: SourceEntry,
        until: Until,
    ) -> None:
        self._watchdog = watchdog
        self._consumer = consumer
        self._publisher = publisher
        self._entry = entry
        self._until = until
        self._ends = LogEnds(consumer, entry.config.request_timeout_ms)
        quarter_s = watchdog.timeout_s / 4
        self._ask_every_s = min(quarter_s, _LONGEST_ASK_S) if quarter_s else _LONGEST_ASK_S
        self._next_ask = 0.0
        watchdog.fresh_s = FRESH * self._ask_every_s
        self._paused = False

    def takes(self, block: RecordBlock) -> None:
        """The block is about to be sent."""
        partition = (block.topic, block.partition)
        if block.first_offset is not None:
            self._watchdog.starts(partition, block.first_offset)
        self._watchdog.reaches(partition, self._until.limit({partition: block.next_offset})[partition])

    def look(self, delivered: int, paused: bool) -> None:
        """Tells how far everything is.

        Args:
            delivered: Records that Rivven has acknowledged.
            paused: Whether too much is in flight to fetch more.
        """
        self._paused = paused
        positions = {(lag.topic, lag.partition): lag.position for lag in self._watchdog.lag}
        partitions = list(positions)
        now = time.monotonic()
        if partitions and now >= self._next_ask:
            self._next_ask = now + self._ask_every_s
            self._ends.ask(partitions)
        for partition, known in positions.items():
            if self._publisher.in_flight_records(*partition):
                continue
            position = self._consumer.position(*partition)
            if position is None:
                continue
            position = self._until.limit({partition: position})[partition]
            if not self._watchdog.knows_start(partition):
                # Nothing was taken yet, or it would be known.
                self._watchdog.starts(partition, position)
            elif known is not None and position > known:
                # Kafka has deleted what was not read yet, or aborted it; no block tells of that.
                self._watchdog.moved([(*partition, position)])
        self._watchdog.ends(self._until.ends(self._ends.news()))
        self._watchdog.ends(
            {
                (lag.topic, lag.partition): lag.end
                for lag in self._watchdog.lag
                if lag.end is not None and not self._ends.has_leader(lag.topic, lag.partition)
            },
            told=False,
        )
        self._watchdog.times(self._publisher.times())
        self._watchdog.look(delivered, self._publisher.in_flight_records(), self._held)

    def reason(self, partition: Partition) -> str:
        """What is known of why the partition stands still."""
        if not self._ends.has_leader(*partition):
            return "the Kafka partition has no leader"
        if not self._consumer.has_coordinator:
            return "the coordinator of the Kafka group does not answer"
        error = self._publisher.error()
        if error is not None:
            return str(error)
        if self._publisher.in_flight_records(*partition):
            return f"Rivven does not acknowledge what was sent ({self._retries()})"
        if self._paused:
            return (
                "fetching is paused: what is in flight has used up max_in_flight_bytes or "
                f"rate_limit.max_in_flight ({self._retries()})"
            )
        if self._entry.rate_limit.events_per_second:
            return "Kafka returns no records, or rate_limit.events_per_second lets none pass"
        return "Kafka does not answer, or returns no records; nothing else is known"

    def _retries(self) -> str:
        return f"{self._publisher.stats()['retries']} retries so far"

    def _held(self, partition: Partition) -> bool:
        limited = self._paused or self._entry.rate_limit.events_per_second > 0
        if not limited or self._publisher.in_flight_records(*partition):
            return False
        return self._ends.has_leader(*partition)

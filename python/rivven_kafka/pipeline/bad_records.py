"""What is done with records that can never be delivered: `on_error` and `on_tombstone`."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from rivven_kafka._native import BadRecord, KafkaSinkMetrics, KafkaSourceMetrics, Publisher
from rivven_kafka.config import OnError, OnTombstone, SourceEntry
from rivven_kafka.pipeline.dead_letters import DeadLetters
from rivven_kafka.pipeline.observed import Observed
from rivven_kafka.pipeline.watchdog import Watchdog

log = logging.getLogger(__name__)


def on_bad(entry: SourceEntry) -> str:
    """What the publisher of a source does with a record that cannot be delivered."""
    if entry.on_error is OnError.DEAD_LETTER:
        return "hold"
    if entry.config.on_tombstone is OnTombstone.DEAD_LETTER:
        return "hold" if entry.on_error is OnError.SKIP else "hold_tombstones"
    return str(entry.on_error)


class SourceBadRecords:
    """Takes the bad records of a publisher, and writes, skips or logs them.

    Args:
        name: Name of the source.
        entry: Its section.
        publisher: Where the records come from.
        letters: The dead letter topic, if there is one.
        metrics: Counts them as errors.
        observed: Counts those that are skipped, by cause.
    """

    def __init__(
        self,
        name: str,
        entry: SourceEntry,
        publisher: Publisher,
        letters: DeadLetters | None,
        metrics: KafkaSourceMetrics,
        observed: Observed,
    ) -> None:
        self._name = name
        self._entry = entry
        self._publisher = publisher
        self._letters = letters
        self._metrics = metrics
        self._observed = observed
        self._holds = on_bad(entry).startswith("hold")
        self._thread: threading.Thread | None = None
        self._failure: Exception | None = None

    def handle(self) -> None:
        """Does what the configuration says with what has come up.

        Raises:
            RivvenKafkaError: A dead letter could not be written; the position stays before its record.
        """
        if self._failure is not None:
            raise self._failure
        self._treat(self._take())

    def handle_before_release(self) -> bool:
        """Writes the letters of partitions that are taken away, so that the next owner need not.

        Never waits, since the group's heartbeats run in the same thread; called until it returns True.
        """
        if self._thread is not None and self._thread.is_alive():
            return False
        if not self._holds or self._failure is not None:
            return True
        bad = self._take()
        if not bad:
            return True
        self._thread = threading.Thread(target=self._treat_aside, args=(bad,), name=f"{self._name}-letters")
        self._thread.start()
        return False

    def log_last(self) -> None:
        """Logs what was skipped until the end; records that are held come again instead."""
        if not self._holds:
            self._treat(self._take())

    def _take(self) -> list[BadRecord]:
        bad, more = self._publisher.take_bad(), self._publisher.take_bad_unlisted()
        unlisted = sum(count for _, count in more)
        for cause, count in more:
            self._observed.skip(cause, count)
        if bad or unlisted:
            self._metrics.record_error(len(bad) + unlisted)
        if unlisted:
            log.warning("skipped %d more records", unlisted, extra={"connector": self._name})
        return bad

    def _treat_aside(self, bad: Sequence[BadRecord]) -> None:
        try:
            self._treat(bad)
        except Exception as error:  # raised again by the loop
            self._failure = error

    def _treat(self, bad: Sequence[BadRecord]) -> None:
        letters = []
        for record in bad:
            tombstone = record.value is None and self._entry.config.on_tombstone is OnTombstone.DEAD_LETTER
            if tombstone or self._entry.on_error is OnError.DEAD_LETTER:
                letters.append((record, self._entry.destination(record.topic)))
                continue
            record.settle()
            self._observed.skip(record.cause)
            place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
            log.warning("skipped a record: %s", record.reason, extra={"connector": self._name, **place})
        if letters and self._letters is not None:
            self._letters.send(letters)


class SinkBadRecords:
    """Does what `on_error` says with records that Kafka, or the encoder, cannot take.

    Args:
        name: Name of the sink.
        topic: The Kafka topic that they were meant for.
        letters: The dead letter topic, if there is one; else they are skipped.
        metrics: Counts them as errors.
        observed: Counts those that are skipped, by cause.
        watchdog: Is told what keeps the sink when Rivven does not take a letter.
    """

    def __init__(
        self,
        name: str,
        topic: str,
        letters: DeadLetters | None,
        metrics: KafkaSinkMetrics,
        observed: Observed,
        watchdog: Watchdog,
    ) -> None:
        self._name = name
        self._topic = topic
        self._letters = letters
        self._metrics = metrics
        self._observed = observed
        self._watchdog = watchdog

    def handle(self, bad: Sequence[BadRecord]) -> None:
        """Writes, or skips and logs, these; at least one.

        Raises:
            RivvenKafkaError: A dead letter could not be written; the position stays before its record.
        """
        self._metrics.record_error(len(bad))
        if self._letters is not None:
            with self._watchdog.doing("Rivven does not take a dead letter"):
                self._letters.send([(record, self._topic) for record in bad])
            return
        for record in bad:
            record.settle()
            self._observed.skip(record.cause)
        first = bad[0]
        log.warning(
            "skipped %d records, the first because: %s",
            len(bad),
            first.reason,
            extra={
                "connector": self._name,
                "topic": first.topic,
                "partition": first.partition,
                "offset": first.offset,
            },
        )

"""Where the logs of the assigned Kafka partitions end, asked without waiting for an answer."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from typing import Any

from kafka import TopicPartition

from rivven_kafka.kafka.consumer import BlockConsumer

log = logging.getLogger(__name__)

_LATEST = -1


class LogEnds:
    """The ends of logs: those that come with the records, and those that were asked for.

    Records tell the high watermark. Under read_committed the end of what can be read may lie before it for
    as long as a transaction is open, so only what is asked for counts then.

    Args:
        consumer: The consumer that has the partitions.
        timeout_ms: How long an answer is waited for before it is asked again (ms).
    """

    def __init__(self, consumer: BlockConsumer, timeout_ms: int) -> None:
        self._consumer = consumer._consumer
        self._timeout_ms = timeout_ms
        self._committed = self._consumer.config["isolation_level"] == "read_committed"
        self._watermarks: dict[TopicPartition, int] = {}
        self._answers: dict[tuple[str, int], int] = {}
        self._lock = threading.Lock()
        self._asked: dict[int, Any] = {}

    def ask(self, partitions: Iterable[tuple[str, int]]) -> None:
        """Asks the leaders; one that has not answered yet is not asked again. Does not wait."""
        by_leader: dict[int, dict[TopicPartition, int]] = {}
        for topic, partition in partitions:
            tp = TopicPartition(topic, partition)
            leader = self._leader(tp)
            if leader is not None:
                by_leader.setdefault(leader, {})[tp] = _LATEST
        for leader, wanted in by_leader.items():
            before = self._asked.get(leader)
            if before is not None and not before.is_done:
                continue
            # A leader of its own for each question: kafka-python drops the answers of all if one fails.
            future = self._consumer._manager.call_soon(
                self._consumer._fetcher._fetch_offsets_by_times_async, wanted, self._timeout_ms
            )
            future.add_callback(self._take)
            future.add_errback(_unanswered)
            self._asked[leader] = future

    def news(self) -> dict[tuple[str, int], int]:
        """The ends that were heard of since the last call."""
        with self._lock:
            heard, self._answers = self._answers, {}
        if self._committed:
            return heard
        assignment = self._consumer._subscription.assignment
        for tp, state in list(assignment.items()):
            end = state.highwater
            if end is not None and self._watermarks.get(tp) != end:
                self._watermarks[tp] = end
                place = (tp.topic, tp.partition)
                heard[place] = max(end, heard.get(place, end))
        return heard

    def has_leader(self, topic: str, partition: int) -> bool:
        """Whether the partition has a leader, as far as is known; without one nobody writes to it."""
        return self._leader(TopicPartition(topic, partition)) is not None

    def _leader(self, tp: TopicPartition) -> int | None:
        leader = self._consumer._cluster.leader_for_partition(tp)
        return None if leader is None or leader < 0 else int(leader)

    def _take(self, answer: dict[TopicPartition, Any]) -> None:
        with self._lock:
            self._answers |= {(tp.topic, tp.partition): found.offset for tp, found in answer.items()}


def _unanswered(error: BaseException) -> None:
    log.debug("Kafka has not told the ends of logs: %s", error)

"""Rivven -> Kafka: fetch blocks, encode batches, commit what Kafka has acknowledged."""

from __future__ import annotations

import contextlib
import logging
import threading
import time

from rivven_kafka._native import Fetcher, KafkaSinkMetrics, RivvenClient, SinkEncoder
from rivven_kafka.config import BrokerConfig, KafkaSinkConfig, Settings, SinkEntry
from rivven_kafka.errors import RivvenKafkaError, TimeoutExpired, UnknownTopicError
from rivven_kafka.kafka import BatchProducer
from rivven_kafka.pipeline.start_offset import start_position
from rivven_kafka.rivven import Change, GroupMember
from rivven_kafka.rivven.options import client_arguments
from rivven_kafka.sink import find_topic, producer_options, sink_encoder

log = logging.getLogger(__name__)

_IDLE_POLL_MS = 100
_TOPIC_WAIT_S = 10.0
_FINAL_FLUSH_S = 5.0
_DAMAGE = {
    "gaps": "the log skipped offsets, records are missing",
    "stalls": "the log goes on, but its next record cannot be read",
    "rewinds": "the log returned records again, it was damaged by a crash",
}


class SinkPipeline:
    """Runs one sink until it is told to stop or cannot go on.

    Delivery guarantee: at least once. A Rivven offset is committed only when Kafka has acknowledged every
    record before it, and the commit is made durable; after a crash, the records acknowledged since the last
    commit and those in flight are written again.

    Args:
        name: Name of the sink, for logs and as client id.
        entry: The sink's section.
        broker: How to reach Rivven.
        settings: Settings that hold for all connectors.
        metrics: Counters to use; new ones if None.
    """

    def __init__(
        self,
        name: str,
        entry: SinkEntry,
        broker: BrokerConfig,
        settings: Settings,
        metrics: KafkaSinkMetrics | None = None,
    ) -> None:
        self.name = name
        self.metrics = metrics or KafkaSinkMetrics()
        self._entry = entry
        self._config: KafkaSinkConfig = entry.config
        self._arguments = client_arguments(broker, settings.retry, entry.config.client_id or name)
        self._require_topics = settings.topic.require_topic_exists
        self._assigned: list[tuple[str, int]] = []
        self._next_commit = 0.0

    def run(self, stop: threading.Event) -> None:
        """Moves records until `stop` is set; then delivers what was read and commits.

        Raises:
            RivvenKafkaError: The sink cannot go on. Everything committed has been delivered.
            TimeoutExpired: Kafka did not answer within `shutdown_timeout_ms` after the stop.
        """
        self._assigned = []
        self._next_commit = 0.0
        with contextlib.ExitStack() as stack:
            topic = find_topic(self._config, self.name)
            self._client = RivvenClient(**self._arguments)
            stack.callback(self._client.close)
            if not self._topics_exist(stop):
                return
            self._encoder: SinkEncoder = sink_encoder(self._config, topic.partitions)
            self._producer = BatchProducer(producer_options(self._config, self.name), self._delivered)
            stack.callback(self._producer.close, 0.0)
            # A quarter of the budget waits in the fetcher, a quarter in its connections, and half is on its
            # way to Kafka.
            self._fetcher = Fetcher(
                **self._arguments,
                connections=self._config.connections,
                max_buffered_bytes=self._config.max_in_flight_bytes // 4,
            )
            stack.callback(self._fetcher.close)
            self._damage = dict.fromkeys(_DAMAGE, 0)
            group_client = RivvenClient(**self._arguments)
            stack.callback(group_client.close)
            self._member = GroupMember(
                group_client,
                self._entry.consumer_group,
                self._entry.topics,
                session_timeout_ms=self._config.session_timeout_ms,
                heartbeat_interval_ms=self._config.heartbeat_interval_ms,
            )
            stack.callback(self._leave)
            try:
                while not stop.is_set():
                    self._step()
                flushed = self._release()
            except BaseException:
                self.metrics.record_error()
                # Positions stay intact: what was delivered and not committed is sent again by the next run.
                self._commit_quietly()
                raise
            if not flushed:
                # Not in the block above, whose last wait for Kafka would come on top of this one.
                raise _unanswered()

    def delivered(self) -> int:
        """Records that Kafka has acknowledged."""
        return self.metrics.snapshot().messages_produced

    def _topics_exist(self, stop: threading.Event) -> bool:
        """Waits for the Rivven topics: a source may be about to create them. False when stopped before."""
        deadline = time.monotonic() + _TOPIC_WAIT_S
        for topic in self._entry.topics:
            while self._client.partition_count(topic) is None:
                if self._require_topics and time.monotonic() > deadline:
                    raise UnknownTopicError(f"Rivven topic {topic!r} does not exist", topic=topic)
                if stop.wait(0.2):
                    return False
        return True

    def _step(self) -> None:
        match self._member.tick():
            case Change.REVOKED:
                if not self._release():
                    raise _unanswered()
                self._member.released()
            case Change.ASSIGNED:
                self._start()
            case Change.NONE:
                pass
        if self._encoder.in_flight_bytes() >= self._config.max_in_flight_bytes // 2:
            self._encoder.wait(_IDLE_POLL_MS)
        else:
            self._read()
        self._send(self._config.linger_ms)
        self._producer.check()
        retries = self._producer.take_retries()
        if retries:
            self.metrics.record_retry(retries)
        now = time.monotonic()
        if now >= self._next_commit:
            self._next_commit = now + self._config.commit_interval_ms / 1000
            self._commit()
            self._report_damage()

    def _report_damage(self) -> None:
        """Tells of what a Rivven log that was damaged by a crash does not give back."""
        stats = self._fetcher.stats()
        for name, text in _DAMAGE.items():
            if stats[name] > self._damage[name]:
                count, self._damage[name] = stats[name] - self._damage[name], stats[name]
                self.metrics.record_error(count)
                log.warning("%s (%d times)", text, count, extra={"connector": self.name})

    def _read(self) -> None:
        lingering = self._encoder.has_open()
        timeout_ms = min(self._config.linger_ms, _IDLE_POLL_MS) if lingering else _IDLE_POLL_MS
        for block in self._fetcher.poll(timeout_ms):
            skipped = self._encoder.append(block)
            if skipped:
                self.metrics.record_error(len(skipped))
                offset, reason = skipped[0]
                log.warning(
                    "skipped %d records, the first because: %s",
                    len(skipped),
                    reason,
                    extra={"topic": block.topic, "partition": block.partition, "offset": offset},
                )

    def _send(self, linger_ms: int) -> None:
        for batch in self._encoder.take_ready(linger_ms):
            self._producer.send(self._config.topic, batch.partition, batch)

    def _delivered(self, batch: object) -> None:
        self.metrics.record_batch(batch.record_count, batch.size_bytes)  # type: ignore[attr-defined]

    def _start(self) -> None:
        """Reads the newly assigned partitions from where their group stands."""
        group = self._entry.consumer_group
        positions, fresh = [], []
        for topic, partition in self._member.assignment:
            offset = self._client.committed_offset(group, topic, partition)
            if offset is None:
                offset = start_position(self._client, topic, partition, self._entry.start_offset)
                fresh.append((topic, partition, offset))
            positions.append((topic, partition, offset))
        if fresh:
            # Without this a restart before the first commit would start at a new `latest` and lose records.
            self._client.commit_offsets(group, fresh, durable=True)
        self._assigned = list(self._member.assignment)
        self._fetcher.assign(positions)
        log.info("assigned %s", [f"{topic}:{partition}@{offset}" for topic, partition, offset in positions])

    def _release(self) -> bool:
        """Delivers what was read, commits, and lets the partitions go.

        False if Kafka has not answered for everything within `shutdown_timeout_ms`.
        """
        self._fetcher.assign([])
        self._send(0)
        self.metrics.record_flush()
        flushed = self._producer.flush(self._config.shutdown_timeout_ms / 1000)
        self._producer.check()
        self._commit()
        for topic, partition in self._assigned:
            self._encoder.forget(topic, partition)
        self._assigned = []
        return flushed

    def _commit(self) -> None:
        positions = self._encoder.take_positions()
        if positions:
            self._client.commit_offsets(self._entry.consumer_group, positions, durable=True)

    def _commit_quietly(self) -> None:
        try:
            with contextlib.suppress(RivvenKafkaError):
                # What stands before a bad record is good.
                self._send(0)
            self._producer.flush(_FINAL_FLUSH_S)
            self._commit()
        except RivvenKafkaError as error:  # the error that stopped the sink matters more
            log.warning("final offset commit failed: %s", error)

    def _leave(self) -> None:
        with contextlib.suppress(RivvenKafkaError):
            self._member.leave()


def _unanswered() -> TimeoutExpired:
    return TimeoutExpired("Kafka has not acknowledged every batch within shutdown_timeout_ms")

"""Kafka -> Rivven: poll blocks, hand them to the publisher, commit what Rivven has acknowledged."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence

from rivven_kafka._native import KafkaSourceMetrics, Publisher, RivvenClient
from rivven_kafka.config import BrokerConfig, KafkaSourceConfig, Settings, SourceEntry
from rivven_kafka.errors import RivvenKafkaError, TimeoutExpired, UnknownTopicError
from rivven_kafka.kafka import BlockConsumer, translate
from rivven_kafka.pipeline.base import Pipeline
from rivven_kafka.pipeline.destination import lanes_per_partition, prepare_topic
from rivven_kafka.rivven.options import client_arguments
from rivven_kafka.source import consumer_options

log = logging.getLogger(__name__)

_COMMIT_TIMEOUT_MS = 5_000


class SourcePipeline(Pipeline):
    """Runs one source until it is told to stop or cannot go on.

    Delivery guarantee: at least once. A Kafka offset is committed only when Rivven has acknowledged every
    record before it; after a crash, the records acknowledged since the last commit and those in flight are
    published again.

    Args:
        name: Name of the source, for logs and as client id.
        entry: The source's section.
        broker: How to reach Rivven.
        settings: Settings that hold for all connectors.
        metrics: Counters to use; new ones if None.
    """

    def __init__(
        self,
        name: str,
        entry: SourceEntry,
        broker: BrokerConfig,
        settings: Settings,
        metrics: KafkaSourceMetrics | None = None,
    ) -> None:
        super().__init__(name)
        self.metrics: KafkaSourceMetrics = metrics or KafkaSourceMetrics()
        self._entry = entry
        self._config: KafkaSourceConfig = entry.config
        self._broker = broker
        self._settings = settings
        self._publisher: Publisher | None = None
        self._delivered_before = 0
        self._begin()

    def _begin(self) -> None:
        """Leaves nothing of an earlier run: a commit that was never answered would hold up all later ones."""
        self._delivered_before, self._publisher = self.delivered(), None
        self._uncommitted: dict[tuple[str, int], int] = {}
        self._committing = False
        self._next_commit = 0.0
        self._paused = False
        self._closed = False

    def _run(self, stop: threading.Event) -> None:
        self._begin()
        consumer = BlockConsumer(consumer_options(self._config, self.name))
        try:
            self._open(consumer)
            while not stop.is_set():
                self._step(consumer)
            drained = self._drain(consumer)
        except BaseException:
            # Positions stay intact: what was delivered and not committed is sent again by the next run.
            self._commit_quietly(consumer)
            raise
        finally:
            self._close(consumer)
        if not drained:
            raise TimeoutExpired("Rivven has not answered within shutdown_timeout_ms; the rest is sent again")

    def delivered(self) -> int:
        """Records that Rivven has acknowledged, in all runs."""
        publisher = self._publisher
        now = int(publisher.stats()["records_published"]) if publisher is not None else 0
        return self._delivered_before + now

    def _open(self, consumer: BlockConsumer) -> None:
        config = self._config
        kafka_partitions = consumer.partition_count(config.topic)
        if not kafka_partitions:
            raise UnknownTopicError(f"Kafka topic {config.topic!r} does not exist", topic=config.topic)
        arguments = client_arguments(self._broker, self._settings.retry, config.client_id or self.name)
        client = RivvenClient(**arguments)
        self._on_abort(client.close)
        try:
            partitions = prepare_topic(client, self._entry, self._settings.topic, kafka_partitions)
        finally:
            client.close()
        self._publisher = Publisher(
            **arguments,
            topic=self._entry.topic,
            partitions=partitions,
            value_format=config.value_format,
            partitioning=config.partitioning,
            lanes_per_partition=lanes_per_partition(self._entry, partitions),
            connections=config.connections,
            max_batch_records=config.max_batch_records,
            max_request_bytes=config.max_request_size,
            include_headers=config.include_headers,
            include_key=config.include_key,
            on_tombstone=config.on_tombstone,
            skip_bad_records=config.on_error == "skip",
        )
        consumer.subscribe([config.topic], self)

    def _step(self, consumer: BlockConsumer) -> None:
        assert self._publisher is not None
        self._limit_memory(consumer, self._publisher)
        timeout_ms = 0 if self._paused else self._config.empty_poll_delay_ms
        blocks = consumer.poll(timeout_ms, self._config.max_poll_records)
        records = size = 0
        for block in blocks:
            records += len(block)
            size += block.size_bytes
            self._publisher.submit(block)
        self.metrics.record_batch(records, size)
        self._publisher.check()
        self._report_bad(self._publisher)
        self._commit_if_due(consumer)

    def _report_bad(self, publisher: Publisher) -> None:
        """Tells of records that `on_error: skip` has left out."""
        for topic, partition, offset, reason in publisher.take_bad():
            self.metrics.record_error()
            place = {"connector": self.name, "topic": topic, "partition": partition, "offset": offset}
            log.warning("skipped a record: %s", reason, extra=place)

    def _limit_memory(self, consumer: BlockConsumer, publisher: Publisher) -> None:
        """Pauses fetching while too much is in flight; polling goes on, so that the group keeps us."""
        limit = self._config.max_in_flight_bytes
        in_flight = publisher.in_flight_bytes()
        if not self._paused and in_flight >= limit:
            consumer.pause()
            self._paused = True
        elif self._paused and in_flight <= limit // 2:
            consumer.resume()
            self._paused = False
        elif self._paused:
            publisher.wait(self._config.empty_poll_delay_ms)

    # What follows is called by the consumer on its I/O thread, while `_step` waits in `poll`.

    def revoke(self, partitions: Sequence[tuple[str, int]]) -> bool:
        """Sends nothing more of `partitions`; True when nothing of them is on the wire."""
        assert self._publisher is not None
        for topic, partition in partitions:
            self._publisher.cancel(topic, partition)
        # Neither a closed publisher nor a failed one will get another answer.
        ended = self._closed or self._publisher.error() is not None
        return ended or not any(self._publisher.in_flight_records(t, p) for t, p in partitions)

    def positions(self) -> list[tuple[str, int, int]]:
        """The positions to commit before the partitions are let go; at the end that has been done."""
        if self._closed:
            return []
        self._collect_positions()
        return self._uncommitted_positions()

    def committed(self, succeeded: bool) -> None:
        """Counts the commit of a rebalance."""
        self.metrics.record_commit(succeeded)

    def forget(self, partitions: Sequence[tuple[str, int]], *, lost: bool) -> None:
        """Drops all state of partitions that belong to someone else now."""
        assert self._publisher is not None
        self._set_assigned(False)
        for topic, partition in partitions:
            self._publisher.forget(topic, partition)
            self._uncommitted.pop((topic, partition), None)
        log.info("%s partitions %s", "lost" if lost else "released", sorted(p for _, p in partitions))

    def assigned(self, partitions: Sequence[tuple[str, int]]) -> None:
        """Counts the rebalance; fetching starts by itself."""
        self._paused = False
        self._set_assigned(True)
        self.metrics.record_rebalance()
        log.info("assigned partitions %s", sorted(p for _, p in partitions))

    # Commits.

    def _collect_positions(self) -> None:
        assert self._publisher is not None
        for topic, partition, offset in self._publisher.take_positions():
            self._uncommitted[topic, partition] = offset

    def _uncommitted_positions(self) -> list[tuple[str, int, int]]:
        return [(topic, partition, offset) for (topic, partition), offset in self._uncommitted.items()]

    def _drop_committed(self, positions: Sequence[tuple[str, int, int]]) -> None:
        """Keeps what has moved on since, and nothing of partitions that are gone."""
        for topic, partition, offset in positions:
            if self._uncommitted.get((topic, partition)) == offset:
                del self._uncommitted[topic, partition]

    def _commit_if_due(self, consumer: BlockConsumer) -> None:
        now = time.monotonic()
        if self._committing or (self._config.enable_auto_commit and now < self._next_commit):
            return
        self._next_commit = now + self._config.auto_commit_interval_ms / 1000
        self._collect_positions()
        positions = self._uncommitted_positions()
        if not positions:
            return
        self._committing = True

        def done(error: BaseException | None) -> None:
            self._committing = False
            self.metrics.record_commit(error is None)
            if error is None:
                self._drop_committed(positions)
            else:
                log.warning("offset commit failed, will be repeated: %s", translate(error, "Kafka"))

        consumer.commit_async(positions, done)

    def _commit_now(self, consumer: BlockConsumer) -> None:
        self._collect_positions()
        positions = self._uncommitted_positions()
        if positions:
            try:
                consumer.commit(positions, _COMMIT_TIMEOUT_MS)
            except RivvenKafkaError:
                self.metrics.record_commit(False)
                raise
            self.metrics.record_commit(True)
            self._drop_committed(positions)

    def _commit_quietly(self, consumer: BlockConsumer) -> None:
        if self._publisher is None:
            return
        try:
            # What is on the wire is soon acknowledged, and then need not be sent again.
            self._settle(_COMMIT_TIMEOUT_MS / 1000)
            self._commit_now(consumer)
        except Exception as error:  # the error that stopped the source matters more
            log.warning("final offset commit failed: %s", error)

    def _drain(self, consumer: BlockConsumer) -> bool:
        """Delivers what is on the wire, within `shutdown_timeout_ms`; False if some answers did not come.

        What is not on the wire stays in Kafka, behind the committed position.
        """
        assert self._publisher is not None
        settled = self._settle(self._config.shutdown_timeout_ms / 1000)
        self._publisher.check()
        self._report_bad(self._publisher)
        self._commit_now(consumer)
        return settled

    def _settle(self, timeout_s: float) -> bool:
        """Sends nothing new, and waits for the answers to what is on the wire; False if some did not come."""
        assert self._publisher is not None
        deadline = time.monotonic() + timeout_s
        self._publisher.cancel_all()
        while self._publisher.in_flight_records() and self._publisher.error() is None:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.01)
        return True

    def _close(self, consumer: BlockConsumer) -> None:
        if self._publisher is not None:
            self._publisher.close(0)
        self._closed = True
        consumer.close()

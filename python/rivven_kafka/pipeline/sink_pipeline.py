"""Rivven -> Kafka: fetch blocks, encode batches, commit what Kafka has acknowledged."""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import time

from rivven_kafka._native import Fetcher, KafkaSinkMetrics, RivvenClient, SinkEncoder
from rivven_kafka.config import (
    BrokerConfig,
    KafkaSinkConfig,
    OnError,
    Settings,
    SinkEntry,
    transforms_json,
)
from rivven_kafka.errors import RivvenKafkaError, TimeoutExpired, UnknownTopicError
from rivven_kafka.kafka import BatchProducer, TransactionalProducer, admin_options
from rivven_kafka.pipeline.bad_records import SinkBadRecords
from rivven_kafka.pipeline.base import Pipeline
from rivven_kafka.pipeline.counterparts import Counterparts
from rivven_kafka.pipeline.damage import Damage
from rivven_kafka.pipeline.dead_letters import DeadLetters
from rivven_kafka.pipeline.delivery import Delivery, DirectDelivery
from rivven_kafka.pipeline.kafka_positions import KafkaPositions
from rivven_kafka.pipeline.lag import Partition
from rivven_kafka.pipeline.loop_protection import Echoes, sink_protection
from rivven_kafka.pipeline.missing_keys import MissingKeys
from rivven_kafka.pipeline.observed import FILTERED
from rivven_kafka.pipeline.progress import Progress
from rivven_kafka.pipeline.pulse import FRESH_S, KafkaPulse
from rivven_kafka.pipeline.rate_limit import RateLimit
from rivven_kafka.pipeline.sink_commits import SinkCommits
from rivven_kafka.pipeline.sink_watch import SinkWatch
from rivven_kafka.pipeline.start_offset import start_positions, warn_of_deleted
from rivven_kafka.pipeline.transaction import TransactionalDelivery
from rivven_kafka.rivven import Change, GroupMember
from rivven_kafka.rivven.options import client_arguments
from rivven_kafka.sink import find_topic, producer_options, sink_encoder

log = logging.getLogger(__name__)

_IDLE_POLL_MS = 100
_MOST_RECORDS = 1_000_000
_FETCH_RECORDS = 2_000
_TOPIC_WAIT_S = 10.0
_FINAL_FLUSH_S = 5.0
_ABORT_S = 0.5
_START_RETRY_S = 0.1
# What a sink that has noticed a change of its group needs for its last transaction, as a rule.
_LET_GO_S = 2.0
_LOOK_EVERY_S = 0.1


class SinkPipeline(Pipeline):
    """Runs one sink until it is told to stop or cannot go on.

    Delivery guarantee: at least once. A Rivven offset is committed only when Kafka has acknowledged every
    record before it, and the commit is made durable; after a crash, the records acknowledged since the last
    commit and those in flight are written again. With `transactional_id`, exactly once: the positions in
    Kafka decide where a run goes on, and those in Rivven follow them.

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
        stall_timeout_ms = entry.config.effective_stall_timeout_ms(broker.request_timeout_ms)
        super().__init__(
            name,
            entry.config.security,
            stall_timeout_ms,
            entry.config.shutdown_timeout_ms,
            broker.request_timeout_ms,
        )
        self.metrics: KafkaSinkMetrics = metrics or KafkaSinkMetrics()
        self._entry = entry
        self._config: KafkaSinkConfig = entry.config
        self._broker = broker
        self._retry = settings.retry
        self._metadata_refresh_ms = broker.metadata_refresh_ms
        self._require_topics = settings.topic.require_topic_exists
        self._assigned: list[tuple[str, int]] = []
        self._counting: SinkEncoder | None = None
        self._echoes_before = 0
        self._next_commit = 0.0
        self._next_start = math.inf
        self._beats: KafkaPulse | None = None

    def _run(self, stop: threading.Event) -> None:
        limit = self._entry.rate_limit
        self._rate = RateLimit(limit.events_per_second, limit.burst_capacity)
        self._committed_at = self.delivered()
        self._echoes_before, self._counting = self.echoes(), None
        self._stored = Progress(self._config.request_timeout_ms)
        self._next_look = 0.0
        self._assigned = []
        self._next_commit = 0.0
        self._next_start = math.inf
        with contextlib.ExitStack() as stack:
            # In each run: certificates are renewed.
            arguments = client_arguments(self._broker, self._retry, self._config.client_id or self.name)
            topic = find_topic(self._config, self.name)
            self._client = RivvenClient(**arguments)
            stack.callback(self._client.close)
            self._on_abort(self._client.close)
            if not self._topics_exist(stop):
                return
            letters = self._entry.dead_letter_topic
            self._bad = SinkBadRecords(
                self.name,
                self._config.topic,
                None
                if letters is None
                else DeadLetters(self._client, letters, self.name, self.observed.dead_letter),
                self.metrics,
                self.observed,
                self.watchdog,
            )
            self._encoder: SinkEncoder = sink_encoder(
                self._config,
                topic.partitions,
                on_bad=None if letters is None else "hold",
                transforms=transforms_json(self._entry.transforms),
                latencies=self.observed.latencies,
                loop_protection=sink_protection(self.name, self._entry, self._broker),
            )
            self._counterparts = Counterparts(self._config, self.name, topic.partitions)
            self._counting = self._encoder
            self._echoes = Echoes(self.name)
            self._left_out = self._filtered = 0
            self._missing_keys = MissingKeys(self.name, self._config.key_field)
            self._delivery, self._producer = self._make_delivery(topic.partitions)
            stack.callback(self._producer.close, 0.0)
            self._beats = KafkaPulse(self._producer)
            stack.callback(self._silence)
            # A quarter of the budget waits in the fetcher, a quarter in its connections, and half is on its
            # way to Kafka.
            self._fetcher = Fetcher(
                **arguments,
                connections=self._config.connections,
                max_messages=min(self._rate.burst, _FETCH_RECORDS) if self._rate.limited else _FETCH_RECORDS,
                max_buffered_bytes=self._config.max_in_flight_bytes // 4,
                on_log_damage=self._config.on_log_damage,
            )
            stack.callback(self._fetcher.close)
            self._damage = Damage(self.name, self._fetcher, self.metrics)
            group_client = RivvenClient(**arguments)
            stack.callback(group_client.close)
            self._on_abort(group_client.close)
            self._watch = SinkWatch(
                self.watchdog,
                group_client,
                self._fetcher,
                self._encoder,
                self._producer,
                self._entry,
                self._delivery.take_positions,
            )
            self._commits = SinkCommits(self._client, self._entry.consumer_group, self._watch.take_positions)
            self._member = GroupMember(
                group_client,
                self._entry.consumer_group,
                self._entry.topics,
                session_timeout_ms=self._config.session_timeout_ms,
                heartbeat_interval_ms=self._config.heartbeat_interval_ms,
                metadata_refresh_ms=self._metadata_refresh_ms,
            )
            stack.callback(self._leave)
            try:
                while not stop.is_set():
                    self._step()
                flushed = self._release()
            except BaseException:
                # Positions stay intact: what was delivered and not committed is sent again by the next run.
                self._commit_quietly()
                raise
            if not flushed:
                self._delivery.give_up(_ABORT_S, lambda: True)
                # Not in the block above, whose last wait for Kafka would come on top of this one.
                raise _unanswered()

    def _make_delivery(self, partitions: int) -> tuple[Delivery, BatchProducer]:
        config, options = self._config, producer_options(self._config, self.name)
        keep = self._entry.on_error is not OnError.FAIL
        if config.transactional_id is None:
            producer = BatchProducer(options, self.metrics.record_batch, keep_refused=keep)
            return DirectDelivery(
                producer, self._encoder, config.topic, config.linger_ms, self._bad.handle
            ), producer
        positions = KafkaPositions(
            admin_options(config, self.name),
            options,
            config.transactional_id,
            self._entry.consumer_group,
            config.topic,
            partitions,
            config.heartbeat_interval_ms / 1000 + _LET_GO_S,
        )
        transactional = TransactionalProducer(options, self.metrics.record_batch, keep_refused=keep)
        return TransactionalDelivery(
            transactional, self._encoder, positions, config, self._bad.handle, self.observed.committed
        ), transactional

    def succeed(self, before: Pipeline) -> None:
        """See `Pipeline.succeed`."""
        assert isinstance(before, SinkPipeline)
        super().succeed(before)
        self.metrics = before.metrics
        self._echoes_before = before.echoes()

    def delivered(self) -> int:
        """Records that Kafka has acknowledged, in all runs; with transactions, has committed."""
        return self.metrics.snapshot().messages_produced

    def delivered_bytes(self) -> int:
        """Bytes of the record batches that Kafka has acknowledged, in all runs."""
        return self.metrics.snapshot().bytes_produced

    @property
    def answered(self) -> bool:
        """Whether Kafka has given a sign of life within the last seconds."""
        beats = self._beats
        return beats is not None and beats.silent_s <= FRESH_S

    def _silence(self) -> None:
        self._beats = None

    def echoes(self) -> int:
        """See `Pipeline.echoes`."""
        encoder = self._counting
        return self._echoes_before + (encoder.echoes_refused() if encoder is not None else 0)

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

    def _stall_reason(self, partition: Partition) -> str:
        return self._watch.reason(partition)

    def _step(self) -> None:
        with self.watchdog.doing("Rivven does not answer the heartbeats of the group"):
            change = self._member.tick()
        match change:
            case Change.REVOKED:
                if not self._release():
                    raise _unanswered()
                self._member.released()
            case Change.ASSIGNED:
                self._next_start = 0.0
                self.observed.rebalanced()
            case Change.NONE:
                pass
        if time.monotonic() >= self._next_start:
            self._start()
        patience_ms = self._delivery.patience_ms(_IDLE_POLL_MS)
        room = self._room()
        if room == 0 or self._encoder.in_flight_bytes() >= self._config.max_in_flight_bytes // 2:
            self._watch.full()
            self._encoder.wait(patience_ms)
        else:
            self._read(patience_ms, room)
        self._delivery.advance()
        self._count_retries()
        self._commit_if_due()
        self._look_around()

    def _room(self) -> int:
        """How many records may be read now."""
        if self.paused:
            return 0
        room = self._delivery.room()
        return self._rate.allowed(_MOST_RECORDS if room is None else min(room, _MOST_RECORDS))

    def _commit_if_due(self) -> None:
        now, every = time.monotonic(), self._entry.offset_commit_interval
        many = every is not None and self.delivered() - self._committed_at >= every
        if now >= self._next_commit or many:
            self._next_commit = now + self._config.commit_interval_ms / 1000
            self._committed_at = self.delivered()
            self._commit()

    def _look_around(self) -> None:
        """Notices a Kafka that does not answer, and damage of the Rivven log."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_EVERY_S
        stuck = self._stored.stuck(self._producer.in_flight > 0, self.delivered())
        reason = "Kafka does not acknowledge what was sent" if stuck else None
        assert self._beats is not None
        self._beats.ask()
        if reason is None and self._beats.ignores_s > max(self._config.request_timeout_ms / 1000, FRESH_S):
            reason = "Kafka does not answer"
        self._set_waiting(reason)
        self._missing_keys.look(self._encoder.keys_missing())
        self._damage.report()
        self._echoes.look(self._encoder.echoes_refused())
        self._watch.look(self.delivered())
        if self.paused and not self._encoder.in_flight_records():
            self.watchdog.rest()
        self.watchdog.check()

    def _count_retries(self) -> None:
        retries = self._producer.take_retries()
        if retries:
            self.metrics.record_retry(retries)

    def _read(self, timeout_ms: int, max_records: int) -> None:
        for block in self._fetcher.poll(timeout_ms, max_records):
            self._rate.spend(len(block))
            self._counterparts.require(block)
            bad = self._encoder.append(block)
            left_out = self._encoder.records_filtered() + self._encoder.echoes_refused()
            if bad or left_out > self._left_out:
                self._left_out = left_out
                filtered = self._encoder.records_filtered()
                self.observed.skip(FILTERED, filtered - self._filtered)
                self._filtered = filtered
                self._delivery.skipped()
            if bad:
                self._bad.handle(bad)

    def _start(self) -> None:
        """Reads the newly assigned partitions from where their group stands."""
        # Longer than a session, with many partitions or a far broker.
        beat = self._member.beat
        stored = self._delivery.take_over(self._member.assignment, beat)
        if stored is None:
            # A transaction of an earlier holder ends first. Heartbeats go on meanwhile.
            self._next_start = time.monotonic() + _START_RETRY_S
            return
        self._next_start = math.inf
        positions = start_positions(self._client, self._entry, self._member.assignment, stored, beat)
        gone = warn_of_deleted(self._client, positions or {}, self.name, beat)
        if gone:
            self.metrics.record_error(gone)
        if positions is None or not self._delivery.hold(positions, self._confirm):
            # The next heartbeat tells what has changed.
            log.info("the partitions went to others during the start; it begins again")
            self._next_start = time.monotonic() + _START_RETRY_S
            return
        self._assigned = list(positions)
        self._commits.starts(positions)
        self._counterparts.starts()
        self._set_assigned(True)
        self.watchdog.assign(positions)
        for place, offset in positions.items():
            self.watchdog.starts(place, offset)
        self._fetcher.assign([(topic, partition, offset) for (topic, partition), offset in positions.items()])
        log.info("assigned %s", [f"{topic}:{number}@{at}" for (topic, number), at in positions.items()])

    def _confirm(self) -> bool:
        with self.watchdog.doing("Rivven does not answer the heartbeats of the group"):
            return self._member.confirm()

    def _release(self) -> bool:
        """Delivers what was read, commits, and lets the partitions go.

        False if Kafka has not answered for everything within `shutdown_timeout_ms`.
        """
        self._set_assigned(False)
        self.watchdog.forget()
        self._next_start = math.inf
        self._fetcher.assign([])
        self.metrics.record_flush()
        done = self._delivery.let_go(self._config.shutdown_timeout_ms / 1000, self._is_aborted)
        self._count_retries()
        self._commit()
        for topic, partition in self._assigned:
            self._encoder.forget(topic, partition)
        self._assigned = []
        return done

    def _commit(self) -> None:
        begin = time.monotonic()
        with self.watchdog.doing("Rivven does not take the commit of the positions"):
            positions = self._commits.commit(member=self._member.certain)
        if not positions:
            return
        if self._config.transactional_id is None:
            # Else it follows the commit that counts.
            self.observed.committed(time.monotonic() - begin)
        self.watchdog.commits(positions)

    def _commit_quietly(self) -> None:
        self.watchdog.ends_run()
        try:
            with contextlib.suppress(RivvenKafkaError):
                self._delivery.give_up(_FINAL_FLUSH_S, self._is_aborted)
                self._count_retries()
            self._commit()
        except RivvenKafkaError as error:  # the error that stopped the sink matters more
            log.warning("final offset commit failed: %s", error)

    def _leave(self) -> None:
        with contextlib.suppress(RivvenKafkaError):
            self._member.leave()


def _unanswered() -> TimeoutExpired:
    return TimeoutExpired("Kafka has not acknowledged every batch within shutdown_timeout_ms")

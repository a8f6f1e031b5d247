"""Kafka -> Rivven: poll blocks, hand them to the publisher, commit what Rivven has acknowledged."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rivven_kafka._native import KafkaSourceMetrics, Publisher, RecordBlock, RivvenClient
from rivven_kafka.config import (
    BrokerConfig,
    DeliveryGuarantee,
    KafkaSourceConfig,
    OnLogDamage,
    Settings,
    SourceEntry,
    StartOffset,
)
from rivven_kafka.errors import ConfigError, TimeoutExpired, UnknownTopicError
from rivven_kafka.kafka import BlockConsumer, Position
from rivven_kafka.pipeline.bad_records import SourceBadRecords, on_bad
from rivven_kafka.pipeline.base import Pipeline
from rivven_kafka.pipeline.commits import OffsetCommits
from rivven_kafka.pipeline.dead_letters import DeadLetters
from rivven_kafka.pipeline.destination import Destinations
from rivven_kafka.pipeline.exactly_once import ExactlyOnce, topic_id
from rivven_kafka.pipeline.fetching import Fetching
from rivven_kafka.pipeline.first_positions import FirstPositions
from rivven_kafka.pipeline.guarantee import AtLeastOnce, Guarantee
from rivven_kafka.pipeline.in_flight import InFlightLimit
from rivven_kafka.pipeline.lag import Partition
from rivven_kafka.pipeline.loop_protection import Echoes, source_protection
from rivven_kafka.pipeline.progress import Progress
from rivven_kafka.pipeline.published import Published
from rivven_kafka.pipeline.publisher_options import publisher_options
from rivven_kafka.pipeline.pulse import FRESH_S, RivvenPulse
from rivven_kafka.pipeline.rate_limit import RateLimit
from rivven_kafka.pipeline.source_rebalances import SourceRebalances
from rivven_kafka.pipeline.source_watch import SourceWatch
from rivven_kafka.pipeline.topic_ids import TopicIds
from rivven_kafka.pipeline.until import Copied, Jump, Until
from rivven_kafka.rivven.options import client_arguments
from rivven_kafka.source import consumer_options, find_topics

log = logging.getLogger(__name__)

_COMMIT_TIMEOUT_MS = 5_000
_LONGEST_PAUSE_MS = 100
_TAKE_FOR_S = 0.02
"""How long to go on with what has come from Kafka before the group is served again."""

_LOOK_EVERY_S = 0.5
_REFRESH_EVERY_S = 10.0


class SourcePipeline(Pipeline):
    """Runs one source until it is told to stop, is complete, or cannot go on.

    Delivery guarantee: at least once. A Kafka offset is committed only when Rivven has acknowledged every
    record before it; after a crash, the records acknowledged since the last commit and those in flight are
    published again. With `delivery_guarantee: exactly_once` they are not, see `ExactlyOnce`.

    Args:
        name: Name of the source, for logs and as client id.
        entry: The source's section.
        broker: How to reach Rivven.
        settings: Settings that hold for all connectors.
        metrics: Counters to use; new ones if None.
        until: Where to end, by Kafka topic and partition: the offset behind the last record to copy. The run
            ends when all before that is committed; the process needs all partitions for itself. None: never.

    Attributes:
        complete: Whether a run has come to the ends.
        copied: What is known to be in Rivven of each partition, where there are ends.
        jumps: What Kafka did not hold any more when it was to be read, where there are ends; in order.
    """

    def __init__(
        self,
        name: str,
        entry: SourceEntry,
        broker: BrokerConfig,
        settings: Settings,
        metrics: KafkaSourceMetrics | None = None,
        *,
        until: Mapping[Partition, int] | None = None,
    ) -> None:
        stall_timeout_ms = entry.config.effective_stall_timeout_ms(broker.request_timeout_ms)
        super().__init__(
            name,
            entry.config.security,
            stall_timeout_ms,
            entry.config.shutdown_timeout_ms,
            broker.request_timeout_ms,
        )
        self.metrics: KafkaSourceMetrics = metrics or KafkaSourceMetrics()
        self._entry = entry
        self._config: KafkaSourceConfig = entry.config
        self._broker = broker
        self._settings = settings
        self._in_flight = InFlightLimit(entry)
        self._ends = until
        self.complete = False
        self.copied: dict[Partition, Copied] = {}
        self.jumps: list[Jump] = []
        self._known_ids: dict[str, str | None] = {}
        # Of topics that are to be started over, what they were before.
        self._ids_before: dict[str, str | None] = {}
        self._publisher: Publisher | None = None
        self._done = Published(self.observed)
        self._pulse: RivvenPulse | None = None
        self._echoes = Echoes(name)
        self._begin()

    def _begin(self) -> None:
        """Leaves nothing of an earlier run: a commit that was never answered would hold up all later ones."""
        self._done.change(None)
        self._publisher = None
        self._rate = RateLimit(
            self._entry.rate_limit.events_per_second, self._entry.rate_limit.burst_size or None
        )
        self._bad: SourceBadRecords | None = None
        self._published = Progress(self._broker.request_timeout_ms)
        self._coordinated = Progress(self._config.session_timeout_ms)
        self._next_look = self._next_refresh = 0.0
        # An end is one of the topics that there were at first.
        self._known_ids = dict(self._ids_before) if self._ends is None else self._known_ids
        self._first: FirstPositions | None = None
        self._rebalances: SourceRebalances | None = None

    def _run(self, stop: threading.Event) -> None:
        self._begin()
        # In each run: certificates are renewed.
        arguments = client_arguments(self._broker, self._settings.retry, self._config.client_id or self.name)
        consumer = BlockConsumer(
            consumer_options(self._config, self.name), max_batch_bytes=self._config.max_batch_bytes
        )
        try:
            self._open(consumer, arguments)
            while not stop.is_set() and not self._until.done:
                self._step(consumer)
            complete = self._until.done
            drained = self._drain(consumer)
        except BaseException:
            # Positions stay intact: what was delivered and not committed is sent again by the next run.
            self._commit_quietly(consumer)
            raise
        finally:
            self._close(consumer)
        if not drained:
            raise TimeoutExpired("Rivven has not answered within shutdown_timeout_ms; the rest is sent again")
        self.complete = complete

    def succeed(self, before: Pipeline) -> None:
        """See `Pipeline.succeed`."""
        assert isinstance(before, SourcePipeline)
        super().succeed(before)
        self.metrics = before.metrics
        self._done = Published(self.observed)
        self._done.succeed(before._done)
        self._echoes = before._echoes

    def delivered(self) -> int:
        """Records that Rivven has acknowledged, in all runs."""
        return self._done.records

    def delivered_bytes(self) -> int:
        """Bytes of the requests that Rivven has acknowledged, in all runs."""
        return self._done.size

    def suppressed(self) -> int:
        """Records that were not published because Rivven has them already, in all runs."""
        return self._done.suppressed

    @property
    def answered(self) -> bool:
        """Whether Rivven has given a sign of life within the last seconds."""
        pulse = self._pulse
        return pulse is not None and pulse.silent_s <= FRESH_S

    def echoes(self) -> int:
        """See `Pipeline.echoes`."""
        return self._done.echoes

    def _open(self, consumer: BlockConsumer, arguments: dict[str, Any]) -> None:
        config = self._config
        topics = find_topics(consumer, config)
        if self._ends is not None:
            # As they were when the ends were read: a topic may have grown since.
            counts: dict[str, int] = {}
            for name, number in self._ends:
                counts[name] = max(counts.get(name, 0), number + 1)
            topics = {topic: counts[topic] for topic in topics if topic in counts}
        if not topics:
            log.warning("no Kafka %s yet", config.topics_text, extra={"connector": self.name})
        self._client = RivvenClient(**arguments)
        self._on_abort(self._client.close)
        # Tries again as `settings.retry` says; the publisher asks once.
        self._client.ping()
        self._publisher = Publisher(
            **arguments,
            **publisher_options(self._entry),
            **source_protection(self.name, self._entry, self._broker),
            on_bad=on_bad(self._entry),
            exactly_once=config.delivery_guarantee is DeliveryGuarantee.EXACTLY_ONCE,
            check_log=config.on_log_damage is OnLogDamage.FAIL,
            latencies=self.observed.latencies,
        )
        self._done.change(self._publisher)
        self._pulse = RivvenPulse(arguments, self.name, self.delivered())
        interval_ms = config.auto_commit_interval_ms if config.enable_auto_commit else 0
        self._guarantee = self._make_guarantee(consumer, self._publisher)
        until = self._until = Until(
            self._ends,
            self.copied,
            self.jumps,
            consumer,
            self._publisher,
            consumer_options(config, self.name),
            config.consumer_group,
        )
        take_positions = self._publisher.take_positions
        moved = self.watchdog.noting(lambda: until.limit_moved(take_positions()))
        self._commits = OffsetCommits(
            moved, self._guarantee.position, interval_ms, self.metrics, self._note_commit
        )
        self._first = FirstPositions(consumer) if config.start_offset is StartOffset.LATEST else None
        self._watch = SourceWatch(self.watchdog, consumer, self._publisher, self._entry, until)
        self._destinations = Destinations(
            self._client,
            self._entry,
            self._settings.topic,
            self._publisher,
            lambda topic: topic_id(consumer, topic),
        )
        dead = self._entry.dead_letter_topic
        letters = (
            None if dead is None else DeadLetters(self._client, dead, self.name, self.observed.dead_letter)
        )
        self._bad = SourceBadRecords(
            self.name, self._entry, self._publisher, letters, self.metrics, self.observed
        )
        self._fetching = Fetching(consumer, self._publisher, self._in_flight, lambda: self.paused)
        self._rebalances = SourceRebalances(
            publisher=self._publisher,
            bad=self._bad,
            guarantee=self._guarantee,
            commits=self._commits,
            first=self._first,
            until=until,
            fetching=self._fetching,
            watchdog=self.watchdog,
            metrics=self.metrics,
            observed=self.observed,
            tell=self._set_assigned,
        )
        consumer.subscribe(list(topics), self._rebalances, pattern=config.topic_pattern)
        self._destinations.add(topics)
        self._topic_ids = TopicIds(consumer, self._known_ids)
        self._topic_ids.note(topics)

    def _make_guarantee(self, consumer: BlockConsumer, publisher: Publisher) -> Guarantee:
        if self._config.delivery_guarantee is DeliveryGuarantee.AT_LEAST_ONCE:
            return AtLeastOnce(consumer)
        destination, preparing = self._entry.destination, self.watchdog.preparing
        return ExactlyOnce(self.name, self._config, consumer, publisher, self._client, destination, preparing)

    def _step(self, consumer: BlockConsumer) -> None:
        assert self._publisher is not None
        assert self._bad is not None
        self._guarantee.go_on()
        if self._fetching.adjust(self._config.empty_poll_delay_ms):
            self._until.hold()
        allowed = self._rate.allowed(self._in_flight.allowed(self._publisher))
        if not allowed:
            # Less than a second: the group need not be served in between.
            time.sleep(self._rate.wait_ms(_LONGEST_PAUSE_MS) / 1000)
            return
        # Where too much is in flight, that was waited for already.
        timeout_ms = 0 if self._fetching.full else self._config.empty_poll_delay_ms
        blocks = self._until.cut(consumer.poll(timeout_ms, allowed))
        until = time.monotonic() + _TAKE_FOR_S
        self._publish(consumer, self._publisher, blocks)
        # A poll serves the group, which takes longer than all else that is done for its few hundred records.
        while blocks and not self._in_flight.is_full(self._publisher) and time.monotonic() < until:
            allowed = self._rate.allowed(self._in_flight.allowed(self._publisher))
            blocks = self._until.cut(consumer.take(allowed)) if allowed else []
            if blocks:
                self._publish(consumer, self._publisher, blocks)
        with self.watchdog.doing("Rivven does not take a dead letter"):
            self._bad.handle()
        self._commits.commit_if_due(consumer)
        self._look_around(consumer, self._publisher)

    def _publish(self, consumer: BlockConsumer, publisher: Publisher, blocks: list[RecordBlock]) -> None:
        self._look_at_topics({block.topic for block in blocks})
        self._cover_new(consumer)
        if self._first is not None:
            self._commits.begin(self._guarantee.begin(self._first.take(blocks)))
            resets = self._first.take_resets(blocks, publisher.in_flight_records)
            self._guarantee.prepare_for(resets)
            blocks = self._guarantee.admit(blocks)
            self._commits.go_on(
                {each: offset for each, offset in resets.items() if self._guarantee.may_commit(each)}
            )
        else:
            blocks = self._guarantee.admit(blocks)
        records = size = 0
        for block in blocks:
            records += len(block)
            size += block.size_bytes
            self._watch.takes(block)
            publisher.submit(block)
        self._rate.spend(records)
        self.metrics.record_batch(records, size)
        publisher.check()

    def _cover_new(self, consumer: BlockConsumer) -> None:
        """Finds ways for topics, or partitions, that have appeared since the start."""
        assert self._rebalances is not None
        topics = sorted(
            {
                topic
                for topic, partition in self._rebalances.take_new()
                if self._until.covers((topic, partition)) and not self._destinations.covers(topic, partition)
            }
        )
        if topics:
            self._destinations.add(consumer.partition_counts(topics))

    def _look_around(self, consumer: BlockConsumer, publisher: Publisher) -> None:
        """Notices brokers that do not answer; the clients try again by themselves."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_EVERY_S
        self._look_at_all_topics()
        if now >= self._next_refresh:
            self._next_refresh = now + _REFRESH_EVERY_S
            consumer.refresh_metadata()
        reason = None
        assert self._pulse is not None
        # The only sign of life, where Rivven refuses the pulse's own connection.
        self._pulse.note(self.delivered())
        if self._pulse.silent_s > max(self._broker.request_timeout_ms / 1000, FRESH_S):
            reason = "Rivven does not answer"
        if self._coordinated.stuck(not consumer.has_coordinator, 0):
            reason = "the coordinator of the Kafka group does not answer"
        self._echoes.look(self.echoes())
        if self._published.stuck(publisher.in_flight_records() > 0, self.delivered() + self.echoes()):
            reason = "Rivven does not acknowledge what was sent"
        self._set_waiting(reason)
        self._commits.positions()
        self._done.count_left_out()
        for topic, partition, end in self._until.look(waiting=self._fetching.paused):
            place = topic, partition
            if self._until.began_within(place) and self._guarantee.may_commit(place):
                self._commits.reach(topic, partition, end)
            self.watchdog.moved([(topic, partition, end)])
        self._watch.look(self.delivered(), self._fetching.paused)
        if self.paused and not publisher.in_flight_records():
            self.watchdog.rest()
        self.watchdog.check()

    def _note_commit(self, positions: Sequence[Position], seconds: float) -> None:
        self.observed.committed(seconds)
        self.watchdog.commits([(topic, partition, offset) for topic, partition, offset, _ in positions])

    def _stall_reason(self, partition: Partition) -> str:
        return self._watch.reason(partition)

    def _look_at_topics(self, topics: Iterable[str]) -> None:
        """Notices a topic that was deleted and created again: offsets then mean other records.

        Raises:
            UnknownTopicError: There is one. Nothing more is committed for it.
            ConfigError: The same, and there are ends to copy up to.
        """
        topic = self._topic_ids.created_again(topics)
        if topic is not None:
            self._commits.disown(topic)
            # The next run has to know, if this is refused.
            self._ids_before[topic] = self._known_ids[topic]
            self._guarantee.start_over(topic)
            del self._ids_before[topic]
            # Another run may begin anew, but an end means nothing in another topic.
            kind = UnknownTopicError if self._ends is None else ConfigError
            raise kind(f"Kafka topic {topic!r} was deleted and created again", topic=topic)

    def _look_at_all_topics(self) -> None:
        """The same for all topics, while there is an assignment: without one nothing can be committed."""
        if self._assigned_since is not None:
            self._look_at_topics(self._destinations.kafka_topics())

    def _commit_quietly(self, consumer: BlockConsumer) -> None:
        self.watchdog.ends_run()
        if self._publisher is None:
            return
        try:
            # What is on the wire is soon acknowledged, and then need not be sent again.
            self._settle(0.0 if self._aborted else _COMMIT_TIMEOUT_MS / 1000)
            self._commits.commit_now(consumer, _COMMIT_TIMEOUT_MS, self._guarantee.last_positions)
        except Exception as error:  # the error that stopped the source matters more
            log.warning("final offset commit failed: %s", error)

    def _drain(self, consumer: BlockConsumer) -> bool:
        """Delivers what is on the wire, within `shutdown_timeout_ms`; False if some answers did not come.

        What is not on the wire stays in Kafka, behind the committed position.
        """
        assert self._publisher is not None
        settled = self._settle(self._config.shutdown_timeout_ms / 1000)
        self._publisher.check()
        assert self._bad is not None
        self._bad.handle()
        self._commits.commit_now(consumer, _COMMIT_TIMEOUT_MS, self._guarantee.last_positions)
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
        if self._pulse is not None:
            self._pulse.close()
            self._pulse = None
        if self._publisher is not None:
            self._publisher.close(0)
            self._done.count_left_out()
            if self._bad is not None:
                self._bad.log_last()
            self._client.close()
        if self._rebalances is not None:
            self._rebalances.end()
        consumer.close()

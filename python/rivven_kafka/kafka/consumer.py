"""kafka-python's consumer, handing out native record blocks instead of one object per record.

The seam is `Fetcher.PartitionRecords`: kafka-python makes one for every partition of a fetch response and
takes records from it. Ours decodes natively and hands out blocks; everything else (groups, seeks, pauses,
resets, fetch sessions) stays kafka-python's. `tests/unit/kafka/test_consumer_seams.py` fails when the seam
moves.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka import errors as kafka_errors

from rivven_kafka._native import RecordBlock
from rivven_kafka.errors import AuthenticationError, FencedError, RivvenKafkaError, UnknownTopicError
from rivven_kafka.kafka.admin import describe_topics
from rivven_kafka.kafka.connect import connected
from rivven_kafka.kafka.errors import SAME_INSTANCE, translate
from rivven_kafka.kafka.gone_topics import GoneTopics, LastOffsets
from rivven_kafka.kafka.lost_positions import LostPositions
from rivven_kafka.kafka.offset_answers import check_committed
from rivven_kafka.kafka.partition_records import PartitionRecords
from rivven_kafka.kafka.rebalance import Listener, Position, RebalanceHandler, kafka_offsets
from rivven_kafka.kafka.topic_ids import topic_id_text

log = logging.getLogger(__name__)

_JOIN_BY_PATTERN_MS = 1_000

PartitionOffset = tuple[str, int, int]
"""Topic, partition, next offset to read."""


class BlockConsumer:
    """A Kafka consumer that returns `RecordBlock`s.

    Offsets are committed only by `commit` and `commit_async`: the caller knows what was delivered.

    Args:
        options: Options of `kafka.KafkaConsumer`; deserializers and auto-commit are not accepted.
        max_batch_bytes: Most bytes that one compressed batch may inflate to.

    Raises:
        ConfigError: The options cannot work, whatever the brokers do.
        ConnectError: No bootstrap broker answers within the request timeout.
        AuthenticationError: The brokers do not accept the credentials.
    """

    def __init__(self, options: Mapping[str, Any], *, max_batch_bytes: int = 128 * 1024 * 1024) -> None:
        self._brokers = ",".join(options["bootstrap_servers"])
        self._user = options.get("sasl_plain_username")
        self._by_pattern = False
        self._came = 0
        self._heard = -math.inf
        self._admin_options = {
            name: value for name, value in options.items() if name in KafkaAdminClient.DEFAULT_CONFIG
        }
        try:
            self._consumer = connected(
                KafkaConsumer, {**options, "enable_auto_commit": False, "metrics_enabled": False}
            )
        except kafka_errors.KafkaError as error:
            raise translate(error, f"cannot connect to Kafka at {self._brokers}") from error
        records = type("PartitionRecords", (PartitionRecords,), {"max_batch_bytes": max_batch_bytes})
        self._consumer._fetcher.PartitionRecords = records
        self._positions = LostPositions(self._consumer)
        self._gone = GoneTopics(self._consumer)
        if options.get("group_id") is not None:
            check_committed(self._consumer)

    def subscribe(
        self, topics: Sequence[str], handler: RebalanceHandler, *, pattern: str | None = None
    ) -> None:
        """Joins the consumer group; partitions come and go through `handler`.

        Args:
            topics: The topics to read, which must exist.
            handler: Told of every rebalance.
            pattern: A regular expression, matched from the start of a name, that selects the topics instead;
                `topics` then are those that it matches by now. Topics that appear later are found when
                kafka-python refreshes its metadata.

        Raises:
            UnknownTopicError: A topic is not in the cluster's metadata within the request timeout.
        """
        listener = Listener(self._consumer, handler, self._gone)
        self._by_pattern = pattern is not None
        if pattern is None:
            self._consumer.subscribe(topics=list(topics), listener=listener)
        else:
            self._consumer.subscribe(pattern=pattern, listener=listener)
        self._await_metadata(topics)

    def seek(self, positions: Iterable[PartitionOffset]) -> None:
        """Goes on from other offsets in partitions that are assigned."""
        for topic, partition, offset in positions:
            self._consumer.seek(TopicPartition(topic, partition), offset)

    def seek_to_beginning(self, partitions: Iterable[tuple[str, int]]) -> None:
        """Goes on from the first records of partitions that are assigned."""
        self._consumer.seek_to_beginning(*(TopicPartition(*partition) for partition in partitions))

    def _await_metadata(self, topics: Sequence[str]) -> None:
        """Loads the metadata of `topics` before the group is joined.

        kafka-python takes a refresh that was under way before `subscribe` for the one that `subscribe` asked
        for. The group would then assign no partitions, until the next refresh 5 minutes later.
        """
        cluster = self._consumer._cluster
        timeout_s = self._consumer.config["request_timeout_ms"] / 1000
        deadline = time.monotonic() + timeout_s
        # The first may be one that was under way already. `request_update` would wait in between.
        attempts_at_once = 2
        try:
            while missing := [topic for topic in topics if cluster.partitions_for_topic(topic) is None]:
                if time.monotonic() > deadline:
                    raise UnknownTopicError(
                        f"no metadata of topic {missing[0]!r} after {timeout_s:.0f} s", topic=missing[0]
                    )
                attempts_at_once -= 1
                if attempts_at_once < 0:
                    time.sleep(self._consumer.config["retry_backoff_ms"] / 1000)
                try:
                    net = self._consumer._net
                    refresh = net.call_soon_with_future(cluster.refresh_metadata)
                    net.run(self._consumer._manager.wait_for, refresh, timeout_s * 1000)
                except kafka_errors.RetriableError as error:
                    # A broker that has just started may know of no brokers yet.
                    if time.monotonic() > deadline:
                        raise
                    attempts_at_once = 0
                    log.debug("asks for metadata again: %s", error)
        except kafka_errors.KafkaError as error:
            raise translate(error, f"cannot read metadata from Kafka at {self._brokers}") from error

    def assign(self, positions: Iterable[PartitionOffset]) -> None:
        """Reads fixed partitions from fixed offsets, without a group."""
        positions = list(positions)
        self._consumer.assign([TopicPartition(topic, partition) for topic, partition, _ in positions])
        self.seek(positions)

    def poll(self, timeout_ms: int, max_records: int) -> list[RecordBlock]:
        """The next blocks, at most `max_records` records in all; empty after `timeout_ms` without any.

        Raises:
            AuthenticationError: A broker does not accept the credentials any more.
            FencedError: Another process has joined the group with our `group_instance_id`.
            CorruptRecordError: The broker returned bytes that are not valid record batches.
            RivvenKafkaError: Whatever else kafka-python raises, translated.
        """
        refused = self._consumer._manager.refusal
        if refused is not None:
            raise AuthenticationError(
                f"cannot read from Kafka at {self._brokers}: {refused}", code=refused.code
            ) from refused
        coordinator = self._consumer._coordinator
        if self._is_replaced():
            # kafka-python would go on fetching until it commits.
            raise FencedError(
                f"cannot read from Kafka at {self._brokers}: {SAME_INSTANCE}: "
                f"{coordinator.group_instance_id!r}",
                code="FencedInstanceIdError",
            )
        if coordinator.rejoining:
            # kafka-python forgets a join that it began because the metadata had changed, and goes on without
            # heartbeats, when `poll` timed out before the end: the assignment then fits the metadata again.
            coordinator.request_rejoin()
        if self._by_pattern and coordinator.need_rejoin():
            # kafka-python refreshes its metadata before every attempt to join, at most every
            # `retry_backoff_ms`, and begins anew with the next poll when this one has timed out before.
            timeout_ms = max(timeout_ms, _JOIN_BY_PATTERN_MS + self._consumer.config["retry_backoff_ms"])
        with self._reading():
            fetched = self._consumer.poll(timeout_ms=timeout_ms, max_records=max_records)
        return [block for blocks in fetched.values() for block in blocks]

    def take(self, max_records: int) -> list[RecordBlock]:
        """The next blocks of what has come from the brokers, at most `max_records` records in all.

        Unlike `poll` it neither waits nor serves the group, so that no partition is taken away meanwhile; it
        costs a fraction.

        Raises:
            CorruptRecordError: The broker returned bytes that are not valid record batches.
            RivvenKafkaError: Whatever else kafka-python raises, translated.
        """
        fetcher = self._consumer._fetcher
        with self._reading():
            fetched, _ = fetcher.fetched_records(max_records)
            waiting = len(fetcher._completed_fetches) + bool(fetcher._next_partition_records)
            self._came = max(self._came, waiting)
            # `poll` asks for more at the last partition; from halfway on, the answer comes in time. Half of
            # those that had records: the others alone would keep the broker waiting for some.
            if fetched and not fetcher.in_flight_fetches() and 2 * waiting <= self._came:
                fetcher.send_fetches()
                self._came = 0
        return [block for blocks in fetched.values() for block in blocks]

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except RivvenKafkaError:
            raise
        except kafka_errors.KafkaError as error:
            context = f"cannot read from Kafka at {self._brokers}"
            raise translate(error, context, user=self._user) from error

    @property
    def has_coordinator(self) -> bool:
        """Whether the coordinator of the group is known and answers."""
        return self._consumer._coordinator.coordinator_id is not None

    def pause(self) -> None:
        """Stops fetching; `poll` goes on serving the group."""
        self._consumer.pause(*self._consumer.assignment())

    def resume(self) -> None:
        """Fetches again."""
        self._consumer.resume(*self._consumer.paused())

    def hold(self, partitions: Iterable[tuple[str, int]]) -> None:
        """Stops fetching these, of those that are assigned, and drops what has come of them."""
        fetcher, assigned = self._consumer._fetcher, self._consumer.assignment()
        held = [tp for each in partitions if (tp := TopicPartition(*each)) in assigned]
        self._consumer.pause(*held)
        for tp in held:
            fetcher._paused_completed_fetches.pop(tp, None)
            records = fetcher._paused_partition_records.pop(tp, None)
            if records:
                records.drain()

    def high_watermark(self, topic: str, partition: int) -> int | None:
        """The end of the log as the last fetched answer told it; None before one. Does not ask Kafka."""
        state = self._consumer._subscription.assignment.get(TopicPartition(topic, partition))
        return None if state is None else state.highwater

    def position(self, topic: str, partition: int) -> int | None:
        """The next offset to take; None while it is not known. Does not ask Kafka."""
        state = self._consumer._subscription.assignment.get(TopicPartition(topic, partition))
        position = None if state is None else state.position
        return None if position is None else int(position.offset)

    def take_resets(self) -> dict[tuple[str, int], int]:
        """Where reading goes on where Kafka did not hold the position any more, since the last call."""
        return self._positions.take_resets()

    def take_jumps(self) -> dict[tuple[str, int], tuple[int | None, int]]:
        """See `LostPositions.take_jumps`."""
        return self._positions.take_jumps()

    def partition_counts(self, topics: Sequence[str] | None = None) -> dict[str, int]:
        """The number of partitions of topics that exist, without Kafka's internal ones.

        Args:
            topics: The topics to ask for; all if None.
        """
        # kafka-python's `partitions_for_topic` loads the metadata of all topics, and takes their absence from
        # the next refresh for a change that needs a rebalance.
        found = describe_topics(self._admin_options, topics)
        return {name: topic.partitions for name, topic in found.items() if not topic.internal}

    def refresh_metadata(self) -> None:
        """Asks for the metadata again; the answer comes while `poll` waits."""
        self._consumer._cluster.request_update()

    def note_alive(self) -> None:
        """Counts as a poll for `max_poll_interval_ms`, where the owner is at work on what was polled."""
        self._consumer._coordinator.heartbeat.poll()

    def topic_id(self, topic: str) -> str | None:
        """Kafka's id of a topic (KIP-516), as its tools print it; None where the brokers give none."""
        return topic_id_text(self._consumer._cluster.topic_id(topic))

    def knows(self, topic: str) -> bool:
        """Whether the metadata have a topic. Does not ask Kafka."""
        return self._consumer._cluster.partitions_for_topic(topic) is not None

    def _is_replaced(self) -> bool:
        """Whether a heartbeat was answered that another member has our `group_instance_id`."""
        coordinator = self._consumer._coordinator
        with coordinator._lock:
            # Else heartbeats end with the membership, or while it is renewed.
            return coordinator.stable() and not (coordinator._heartbeat_enabled or coordinator.rejoining)

    def session_left_ms(self, share: float) -> int:
        """For how long the group will count us as a member, whatever happens (ms); 0 if it does not.

        Args:
            share: Of the session timeout and of the longest time between two polls, to be on the safe side.
        """
        coordinator = self._consumer._coordinator
        if not (coordinator.stable() and coordinator._heartbeat_enabled):
            return 0
        heartbeat = coordinator.heartbeat
        # The broker counts from a heartbeat's arrival, which is after it was sent. Read first, as one that is
        # sent in between is not answered. A search for the coordinator sets `last_reset`, so it says nothing.
        sent = heartbeat.last_send
        if heartbeat.last_receive >= sent:
            self._heard = max(self._heard, sent)
        session_s = heartbeat.config["session_timeout_ms"] / 1000
        # After this time without a poll, kafka-python leaves the group.
        poll_s = heartbeat.config["max_poll_interval_ms"] / 1000
        end = min(self._heard + session_s * share, heartbeat.last_poll + poll_s * share)
        return int(max(0.0, end - time.monotonic()) * 1000)

    def committed(self, partitions: Iterable[tuple[str, int]]) -> dict[tuple[str, int], tuple[int, str]]:
        """What the group has committed: offset and metadata; partitions without a commit are left out.

        Raises:
            RivvenKafkaError: Kafka refused to tell, or has not answered within the request timeout.
        """
        wanted = [TopicPartition(*partition) for partition in partitions]
        timeout_ms = self._consumer.config["request_timeout_ms"]
        try:
            found = self._consumer._coordinator.fetch_committed_offsets(wanted, timeout_ms=timeout_ms)
        except kafka_errors.KafkaError as error:
            raise translate(error, "cannot read committed offsets") from error
        return {
            (tp.topic, tp.partition): (at.offset, at.metadata or "")
            for tp, at in found.items()
            if at.offset >= 0
        }

    def commit(self, positions: Iterable[Position], timeout_ms: int, *, last: bool = False) -> None:
        """Commits and waits for the answer.

        Args:
            positions: What to commit.
            timeout_ms: Longest wait for the answer (ms).
            last: Nothing is read after this: positions of topics that are gone are left out.

        Raises:
            RivvenKafkaError: The commit was refused or not answered in time; nothing was committed, or it is
                not known.
        """
        offsets = kafka_offsets(positions)
        if last:
            offsets = LastOffsets(offsets)
        if not offsets:
            return
        begin = time.monotonic()
        try:
            self._consumer.commit(offsets, timeout_ms=timeout_ms)
            # Only a member may commit, and its session begins anew.
            self._heard = max(self._heard, begin)
        except kafka_errors.KafkaError as error:
            raise translate(error, "cannot commit offsets to Kafka") from error

    def commit_async(
        self, positions: Iterable[Position], done: Callable[[BaseException | None], None]
    ) -> None:
        """Starts a commit; `done` gets the error or None (called from `poll`)."""

        def callback(_: object, answer: object) -> None:
            done(answer if isinstance(answer, BaseException) else None)

        self._consumer.commit_async(kafka_offsets(positions), callback=callback)

    def close(self, timeout_ms: int = 5000) -> None:
        """Gives the partitions up, committing the handler's positions, and closes the connections."""
        try:
            self._consumer.close(autocommit=False, timeout_ms=timeout_ms)
        except kafka_errors.KafkaError as error:
            # The caller may be on its way out with the error that matters.
            log.warning("did not leave the group in order: %s", error.__cause__ or error)
        finally:
            # kafka-python leaves it open when the listener fails.
            self._consumer._client.close()

"""A consumer's blocks as a stream of events, with commits of what was processed."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from types import TracebackType

from rivven_kafka._events import EventReader, SourceEvent
from rivven_kafka._native import KafkaSourceMetrics, RecordBlock
from rivven_kafka.config import KafkaSourceConfig
from rivven_kafka.errors import RivvenKafkaError
from rivven_kafka.kafka.consumer import BlockConsumer
from rivven_kafka.kafka.errors import translate
from rivven_kafka.kafka.rebalance import Position

log = logging.getLogger(__name__)

_COMMIT_TIMEOUT_MS = 5_000
_TAKE_FOR_S = 0.02
"""So long what has come is taken before the group is served again."""


class EventStream(EventReader):
    """Iterator and asynchronous iterator of `SourceEvent`; also a context manager.

    Not to be shared by threads. Made by `KafkaSource.read`.
    """

    def __init__(
        self,
        consumer: BlockConsumer,
        config: KafkaSourceConfig,
        topics: Sequence[str],
        position: Mapping[tuple[str, int], int],
        metrics: KafkaSourceMetrics,
    ) -> None:
        super().__init__(include_key=config.include_key, include_headers=config.include_headers)
        self._consumer = consumer
        self._config = config
        self._metrics = metrics
        self._waiting: list[RecordBlock] = []
        self._current: RecordBlock | None = None
        self._processed: dict[tuple[str, int], int] = {}
        self._committing = False
        self._next_commit = time.monotonic() + config.auto_commit_interval_ms / 1000
        self._take_until = 0.0
        self._closed = False
        self._start = dict(position)
        consumer.subscribe(topics, self, pattern=config.topic_pattern)

    def next_block(self) -> RecordBlock | None:
        """The next block with records; called by the reader when the current one is used up.

        None once the stream is closed.
        """
        self._finish_current()
        while not self._closed:
            self._commit_if_due()
            if not self._waiting:
                self._poll()
                continue
            self._current = self._waiting.pop()
            if len(self._current):
                return self._current
            self._finish_current()
        return None

    def _poll(self) -> None:
        most = self._config.max_poll_records
        try:
            # A poll serves the group, which takes longer than all else that its few hundred records take.
            blocks = self._consumer.take(most) if time.monotonic() < self._take_until else []
            if not blocks:
                blocks = self._consumer.poll(self._config.empty_poll_delay_ms, most)
                self._take_until = time.monotonic() + _TAKE_FOR_S
        except RivvenKafkaError:
            self._metrics.record_error()
            raise
        self._metrics.record_batch(sum(map(len, blocks)), sum(block.size_bytes for block in blocks))
        blocks.reverse()
        self._waiting = blocks

    def close(self) -> None:
        """Commits what was processed, the last event included, and leaves the group."""
        self._close(include_last=True)

    def __enter__(self) -> EventStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The event that was being worked on when an error came up is not processed.
        self._close(include_last=error is None)

    def _close(self, *, include_last: bool) -> None:
        if self._closed:
            return
        self._closed = True
        if self.drop_fetch():
            # Nothing of that block was handed out, and everything before it is counted already.
            self._current = None
        try:
            self._count_last(include_last=include_last)
            positions = self.positions()
            self._consumer.commit(positions, _COMMIT_TIMEOUT_MS, last=True)
            if positions:
                self._metrics.record_commit()
                # Leaving the group would commit them once more.
                self._processed.clear()
        except RivvenKafkaError as error:
            self._metrics.record_commit(False)
            if include_last:
                raise
            # The error that the stream is closed for matters more.
            log.warning("final offset commit failed: %s", error)
        finally:
            self._consumer.close()

    def _count_last(self, *, include_last: bool) -> None:
        block, last = self._current, self.last_event
        if block is None or last is None:
            return
        offset = last.offset + 1 if include_last else last.offset
        if include_last and last.offset == block.last_offset:
            # Beyond markers of transactions and what compaction has removed.
            offset = block.next_offset
        self._processed[block.topic, block.partition] = offset

    def _finish_current(self) -> None:
        if self._current is not None:
            block, self._current = self._current, None
            self._processed[block.topic, block.partition] = block.next_offset
            # From now on the group's offset says more than the position that was given at the start.
            self._start.pop((block.topic, block.partition), None)

    def _commit_if_due(self) -> None:
        now = time.monotonic()
        due = not self._config.enable_auto_commit or now >= self._next_commit
        # One commit at a time: an older one that fails late must not undo a newer one.
        if not self._processed or self._committing or not due:
            return
        self._next_commit = now + self._config.auto_commit_interval_ms / 1000
        self._committing = True
        positions = self.positions()

        def done(error: BaseException | None) -> None:
            self._committing = False
            self._metrics.record_commit(error is None)
            if error is not None:
                log.warning("offset commit failed, will be repeated: %s", translate(error, "Kafka"))
                return
            for topic, partition, offset, _ in positions:
                if self._processed.get((topic, partition)) == offset:
                    del self._processed[topic, partition]

        self._consumer.commit_async(positions, done)

    # Called by the consumer at a rebalance, while `next_block` waits in `poll`.

    def revoke(self, partitions: Sequence[tuple[str, int]]) -> bool:
        """Nothing is under way between two events."""
        return True

    def positions(self) -> list[Position]:
        """The positions of what was processed and is not known to be committed."""
        return [
            Position(topic, partition, offset) for (topic, partition), offset in list(self._processed.items())
        ]

    def committed(self, succeeded: bool) -> None:
        """Counts the commit of a rebalance."""
        self._metrics.record_commit(succeeded)

    def forget(self, partitions: Sequence[tuple[str, int]], *, lost: bool) -> None:
        """Drops blocks that someone else will read."""
        gone = set(partitions)
        self._waiting = [block for block in self._waiting if (block.topic, block.partition) not in gone]
        for partition in gone:
            self._processed.pop(partition, None)

    def assigned(self, partitions: Sequence[tuple[str, int]]) -> None:
        """Goes to the given positions, in partitions of which nothing was processed yet."""
        self._metrics.record_rebalance()
        given = [
            (topic, partition, self._start[topic, partition])
            for topic, partition in partitions
            if (topic, partition) in self._start
        ]
        self._consumer.seek(given)


__all__ = ["EventStream", "SourceEvent"]

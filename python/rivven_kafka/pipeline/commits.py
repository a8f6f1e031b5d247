"""When a source commits which Kafka offsets."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from rivven_kafka._native import KafkaSourceMetrics
from rivven_kafka.errors import RivvenKafkaError
from rivven_kafka.kafka import BlockConsumer, Position, translate

log = logging.getLogger(__name__)


class OffsetCommits:
    """The positions that may be committed and are not known to be.

    Args:
        moved: Returns the positions that moved since its last call, as (topic, partition, next offset to
            read): everything before them is delivered.
        describe: Makes of one what is committed.
        interval_ms: Time between commits (ms); 0: as soon as something was delivered.
        metrics: Counts the commits.
        done: Called with what was committed, and how long that took (s).
    """

    def __init__(
        self,
        moved: Callable[[], Iterable[tuple[str, int, int]]],
        describe: Callable[[str, int, int], Position],
        interval_ms: int,
        metrics: KafkaSourceMetrics,
        done: Callable[[Sequence[Position], float], object] = lambda *_: None,
    ) -> None:
        self._moved = moved
        self._describe = describe
        self._interval_s = interval_ms / 1000
        self._metrics = metrics
        self._done = done
        self._waiting: dict[tuple[str, int], int] = {}
        self._disowned: set[str] = set()
        self._under_way = False
        self._next = 0.0

    def positions(self) -> list[Position]:
        """All positions that are not known to be committed."""
        for topic, partition, offset in self._moved():
            self._waiting[topic, partition] = offset
        for topic, partition in list(self._waiting):
            if topic in self._disowned:
                del self._waiting[topic, partition]
        return [
            self._describe(topic, partition, offset) for (topic, partition), offset in self._waiting.items()
        ]

    def begin(self, starts: Mapping[tuple[str, int], int]) -> None:
        """Reading begins at these offsets, of which nothing is delivered yet; commits them soon."""
        if starts:
            self._waiting = {**starts, **self._waiting}
            self._next = 0.0

    def go_on(self, starts: Mapping[tuple[str, int], int]) -> None:
        """Reading goes on at these offsets, and nothing from before them is on its way; commits them soon."""
        if starts:
            self.positions()
            self._waiting |= starts
            self._next = 0.0

    def reach(self, topic: str, partition: int, offset: int) -> None:
        """Everything before this offset is delivered, though no record tells so; commits it soon."""
        # What moved before must not come after it.
        self.positions()
        self._waiting[topic, partition] = offset
        self._next = 0.0

    def disown(self, topic: str) -> None:
        """Commits nothing more of a topic: its offsets do not mean what was read any more."""
        self._disowned.add(topic)

    def forget(self, partitions: Iterable[tuple[str, int]]) -> None:
        """Drops the positions of partitions that belong to someone else now."""
        for partition in partitions:
            self._waiting.pop(partition, None)

    def commit_if_due(self, consumer: BlockConsumer) -> None:
        """Starts a commit when it is time; only one is under way at a time."""
        now = time.monotonic()
        if self._under_way or now < self._next:
            return
        self._next = now + self._interval_s
        positions = self.positions()
        if not positions:
            return
        self._under_way = True

        def done(error: BaseException | None) -> None:
            self._under_way = False
            self._metrics.record_commit(error is None)
            if error is None:
                self._done(positions, time.monotonic() - now)
                self._committed(positions)
            else:
                log.warning("offset commit failed, will be repeated: %s", translate(error, "Kafka"))

        consumer.commit_async(positions, done)

    def commit_now(
        self,
        consumer: BlockConsumer,
        timeout_ms: int,
        last: Callable[[list[Position]], list[Position]] = lambda positions: positions,
    ) -> None:
        """Commits everything before the end, and waits for the answer.

        Args:
            consumer: Commits.
            timeout_ms: Longest wait for the answer (ms).
            last: Makes of the positions what is committed.

        Raises:
            RivvenKafkaError: The commit was refused or not answered in time.
        """
        positions = last(self.positions())
        if not positions:
            return
        begin = time.monotonic()
        try:
            consumer.commit(positions, timeout_ms, last=True)
        except RivvenKafkaError:
            self._metrics.record_commit(False)
            raise
        self._metrics.record_commit(True)
        self._done(positions, time.monotonic() - begin)
        self._committed(positions)

    def _committed(self, positions: Sequence[Position]) -> None:
        """Keeps what has moved on since, and nothing of partitions that are gone."""
        for topic, partition, offset, _ in positions:
            if self._waiting.get((topic, partition)) == offset:
                del self._waiting[topic, partition]

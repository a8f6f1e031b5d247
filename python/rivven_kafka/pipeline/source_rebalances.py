"""What becomes of the work of a source when its group takes partitions away, or gives it some."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from rivven_kafka._native import KafkaSourceMetrics, Publisher
from rivven_kafka.kafka import Position
from rivven_kafka.pipeline.bad_records import SourceBadRecords
from rivven_kafka.pipeline.commits import OffsetCommits
from rivven_kafka.pipeline.fetching import Fetching
from rivven_kafka.pipeline.first_positions import FirstPositions
from rivven_kafka.pipeline.guarantee import Guarantee
from rivven_kafka.pipeline.lag import Partition
from rivven_kafka.pipeline.observed import Observed
from rivven_kafka.pipeline.until import Until
from rivven_kafka.pipeline.watchdog import Watchdog

log = logging.getLogger(__name__)


class SourceRebalances:
    """The `RebalanceHandler` of one run of a source.

    The consumer calls it on its I/O thread, while the loop of the source waits in `poll`.

    Args:
        publisher: Has records of the partitions in flight.
        bad: Holds some of them back.
        guarantee: Decides what is committed.
        commits: Knows what is to be committed.
        first: Where reading began, of a source that starts at the end.
        until: Where reading ends.
        fetching: Keeps the consumer from fetching.
        watchdog: Watches over the partitions.
        metrics: Counts assignments and commits.
        observed: Counts assignments.
        tell: Called with whether there is an assignment now.
    """

    def __init__(
        self,
        *,
        publisher: Publisher,
        bad: SourceBadRecords,
        guarantee: Guarantee,
        commits: OffsetCommits,
        first: FirstPositions | None,
        until: Until,
        fetching: Fetching,
        watchdog: Watchdog,
        metrics: KafkaSourceMetrics,
        observed: Observed,
        tell: Callable[[bool], None],
    ) -> None:
        self._publisher = publisher
        self._bad = bad
        self._guarantee = guarantee
        self._commits = commits
        self._first = first
        self._until = until
        self._fetching = fetching
        self._watchdog = watchdog
        self._metrics = metrics
        self._observed = observed
        self._tell = tell
        self._leaving: Sequence[Partition] = ()
        self._new: Sequence[Partition] = ()
        self._ended = False

    def take_new(self) -> Sequence[Partition]:
        """The partitions that have come since the last call."""
        new, self._new = self._new, ()
        return new

    def end(self) -> None:
        """The run has ended: all was committed that could be."""
        self._ended = True

    def revoke(self, partitions: Sequence[Partition]) -> bool:
        """Sends nothing more of `partitions`; True when nothing of them is on the wire."""
        self._leaving = partitions
        for topic, partition in partitions:
            self._publisher.cancel(topic, partition)
        # Neither a closed publisher nor a failed one will get another answer; one that stands still may not.
        if self._ended or self._publisher.error() is not None or self._watchdog.error is not None:
            return True
        waiting = any(self._publisher.in_flight_records(topic, partition) for topic, partition in partitions)
        return not waiting and self._bad.handle_before_release()

    def positions(self) -> list[Position]:
        """The positions to commit before the partitions are let go; at the end that has been done."""
        if self._ended:
            return []
        return self._guarantee.last_positions(self._commits.positions(), self._leaving)

    def committed(self, succeeded: bool) -> None:
        """Counts the commit of a rebalance."""
        self._metrics.record_commit(succeeded)

    def forget(self, partitions: Sequence[Partition], *, lost: bool) -> None:
        """Drops all state of partitions that belong to someone else now."""
        self._tell(False)
        self._watchdog.forget(partitions)
        for topic, partition in partitions:
            self._publisher.forget(topic, partition)
        self._commits.forget(partitions)
        if self._first is not None:
            self._first.forget(partitions)
        self._guarantee.forget(partitions, lost=lost)
        self._until.forget(partitions)
        log.info("%s partitions %s", "lost" if lost else "released", sorted(p for _, p in partitions))

    def assigned(self, partitions: Sequence[Partition]) -> None:
        """Counts the rebalance; fetching starts by itself."""
        self._fetching.assigned()
        self._guarantee.assigned(partitions)
        self._until.assigned(partitions)
        if self._first is not None:
            self._first.assigned(partitions)
        self._new = [*self._new, *partitions]
        self._tell(True)
        self._watchdog.assign(partitions)
        self._metrics.record_rebalance()
        self._observed.rebalanced()
        log.info("assigned partitions %s", sorted(p for _, p in partitions))

"""Notices a partition that has records to deliver, and whose position does not move."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rivven_kafka.errors import StalledError
from rivven_kafka.pipeline.lag import Lag, Partition, Positions, Stall, Times

_NEVER = float("-inf")
# A process that was stopped itself for longer than this has seen nothing meanwhile (s).
_LONGEST_NAP_S = 2.0


@dataclass
class _Mark:
    """What is known of a partition; `since` and `done` are from when it last moved, or fell behind."""

    since: float
    heard_at: float
    done: int
    position: int | None = None
    end: int | None = None
    moved: bool = False
    heard: bool = False
    ahead: int = 0
    held_at: float = _NEVER
    told_at: float = _NEVER
    committed: int | None = None
    oldest_ms: int | None = None
    newest_ms: int | None = None
    level_ms: float | None = None

    @property
    def behind(self) -> bool:
        """Whether there is something to deliver, or may be."""
        return self.position is None or self.end is None or self.position < self.end

    @property
    def still_since(self) -> float:
        """Since when nothing is known to have moved; one that was at the end counts from that news on."""
        return self.since if self.behind else self.heard_at

    def seconds(self, wall_ms: float, fresh: bool) -> float | None:
        """Age of the first record that is not delivered (s), at most; None if that is not known."""
        if self.position is None or self.end is None:
            return None
        if self.position >= self.end:
            return 0.0 if fresh else None
        begin: float | None = self.oldest_ms
        if begin is None:
            # It was not read yet, but came after the one before it, and after nothing was left to deliver.
            earlier = [at for at in (self.newest_ms, self.level_ms) if at is not None and at <= wall_ms]
            begin = max(earlier, default=None)
        return None if begin is None else max(wall_ms - begin, 0.0) / 1000


class Watchdog:
    """Compares the positions of the assigned partitions with the ends of their logs.

    A partition is stalled when it is behind, or the end of its log cannot be learned, and nothing of it was
    delivered for the whole timeout. As long as other records move it may have to wait for its turn: until
    as many were delivered as were on their way at a time (`ahead`), and for as long as a limit holds it back.
    What is stalled stays so, beyond the end of a run, until the partition moves, has nothing to deliver, or
    belongs to someone else.

    May be used by several threads at once.

    Args:
        timeout_ms: Time without progress after which a partition is stalled (ms); 0: never.
        clock: Seconds, monotonic.
        wall: Seconds since 1970.

    Attributes:
        fresh_s: How long the end of a log counts as known after it was heard of (s).
    """

    def __init__(
        self,
        timeout_ms: int,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.timeout_s = timeout_ms / 1000
        self.fresh_s = math.inf
        self._clock = clock
        self._wall = wall
        self._lock = threading.RLock()
        self._stalled: dict[Partition, Stall] = {}
        self._count = 0
        self.reset()

    def reset(self) -> None:
        """Forgets the partitions: a run begins or has ended."""
        with self._lock:
            now = self._clock()
            self._marks: dict[Partition, _Mark] = {}
            self._error: StalledError | None = None
            self.noticed = self.ending = False
            self._assigned = False
            self._done: int | None = None
            self._done_at = now
            self._looked_at = now
            self._judged_at = now
            self._activity: str | None = None
            self._preparing = False

    @property
    def stalled(self) -> list[Stall]:
        """The partitions that stand still, the one that has done so for longest first."""
        with self._lock:
            return sorted(
                self._stalled.values(), key=lambda stall: (stall.since, stall.topic, stall.partition)
            )

    @property
    def stalls(self) -> int:
        """How often partitions were found to stand still."""
        return self._count

    @property
    def lag(self) -> list[Lag]:
        """How far the partitions are behind, sorted by topic and partition."""
        with self._lock:
            now, wall_ms = self._clock(), self._wall() * 1000
            found = []
            for partition, mark in sorted(self._marks.items()):
                fresh = now - mark.told_at <= self.fresh_s
                seconds = mark.seconds(wall_ms, fresh)
                found.append(Lag(*partition, mark.position, mark.end, fresh, seconds, mark.committed))
            return found

    def kept(self) -> tuple[float, str | None]:
        """How long the loop has not come round (s), and what it does meanwhile, where that is known.

        Work that comes before the first record does not count, nor does time in which nobody called `judge`.
        """
        with self._lock:
            seconds = 0.0 if self._preparing else self._clock() - self._looked_at
            return seconds, self._activity

    @property
    def error(self) -> StalledError | None:
        """What ends the run, None while all is well."""
        return self._error

    def check(self) -> None:
        """Ends the run, if a partition stands still.

        Raises:
            StalledError: It names the partition, and why it stands still.
        """
        if self._error is not None:
            self.noticed = True
            raise self._error

    # What the loop tells.

    def assign(self, partitions: Iterable[Partition]) -> None:
        """These partitions are ours from now on."""
        with self._lock:
            # Whoever assigns is alive.
            now = self._looked_at = self._clock()
            self._assigned = True
            for partition in partitions:
                self._marks[partition] = _Mark(now, now, self._done or 0)

    def forget(self, partitions: Iterable[Partition] | None = None) -> None:
        """These partitions are someone else's now; all of them if None."""
        with self._lock:
            self._assigned = False
            for partition in list(self._marks) if partitions is None else partitions:
                self._marks.pop(partition, None)

    def starts(self, partition: Partition, position: int) -> None:
        """The partition is read from this position on; not heard when one is known."""
        mark = self._marks.get(partition)
        if mark is not None and mark.position is None:
            mark.position = position

    def knows_start(self, partition: Partition) -> bool:
        """Whether a position is known; also true of partitions that are not ours."""
        mark = self._marks.get(partition)
        return mark is None or mark.position is not None

    def moved(self, positions: Positions) -> None:
        """Everything before these positions is delivered."""
        with self._lock:
            now = self._clock()
            for topic, partition, position in positions:
                mark = self._marks.get((topic, partition))
                if mark is not None and mark.position != position:
                    mark.position, mark.moved = position, True
                    if mark.end is not None:
                        # What was heard of the end may be older than what was delivered.
                        mark.end = max(mark.end, position)
                    self._begin(mark, now)

    def noting(
        self, take: Callable[[], list[tuple[str, int, int]]]
    ) -> Callable[[], list[tuple[str, int, int]]]:
        """`take`, a function that returns positions that moved, in a form that also tells of them here."""

        def noted() -> list[tuple[str, int, int]]:
            positions = take()
            self.moved(positions)
            return positions

        return noted

    def ends(self, ends: Mapping[Partition, int], *, told: bool = True) -> None:
        """The logs end here.

        Args:
            ends: The ends of the logs.
            told: Whether that was heard just now; else they may have grown, but nothing can move.
        """
        with self._lock:
            now = self._clock()
            for partition, end in ends.items():
                mark = self._marks.get(partition)
                if mark is None:
                    continue
                behind = mark.behind
                mark.end, mark.heard_at, mark.heard = end, now, True
                if told:
                    mark.told_at = now
                    if not mark.behind:
                        mark.level_ms = self._wall() * 1000
                if mark.behind and not behind:
                    self._begin(mark, now)

    def reaches(self, partition: Partition, end: int) -> None:
        """The log goes at least this far; where it ends was not heard."""
        mark = self._marks.get(partition)
        if mark is not None and (mark.end is None or mark.end < end):
            with self._lock:
                told_at = mark.told_at
                self.ends({partition: end})
                mark.told_at = told_at

    def commits(self, positions: Iterable[tuple[str, int, int]]) -> None:
        """These positions are committed."""
        for topic, partition, offset in positions:
            mark = self._marks.get((topic, partition))
            if mark is not None:
                mark.committed = offset

    def times(self, times: Times) -> None:
        """What the timestamps of the records tell."""
        for topic, partition, oldest_ms, newest_ms in times:
            mark = self._marks.get((topic, partition))
            if mark is not None:
                mark.oldest_ms, mark.newest_ms = oldest_ms, newest_ms

    def look(self, done: int, in_flight: int, held: Callable[[Partition], bool]) -> None:
        """The loop is alive.

        Args:
            done: Records delivered by all runs; only its changes matter.
            in_flight: Records that are on their way.
            held: Whether a limit keeps a partition from being read.
        """
        with self._lock:
            now = self._looked_at = self._clock()
            if self._done is None:
                # Earlier runs count too: only what comes from here on is a difference.
                self._done = done
                for mark in self._marks.values():
                    mark.done = done
            elif done != self._done:
                self._done, self._done_at = done, now
            for partition, mark in self._marks.items():
                if mark.behind:
                    mark.ahead = max(mark.ahead, in_flight)
                    if held(partition):
                        mark.held_at = now
            self._clear()

    def rest(self) -> None:
        """Nothing is on its way, and nothing is to be: what stands still until the next call may do so."""
        with self._lock:
            now = self._clock()
            for mark in self._marks.values():
                self._begin(mark, now)
                mark.heard_at = now

    def ends_run(self) -> None:
        """The loop has ended by an error, which is the cause of all that stands still from here on."""
        self.ending = True

    @contextlib.contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Notes what may keep the loop; `what` becomes the reason if it does."""
        self._activity, before = what, self._activity
        try:
            yield
        finally:
            self._activity = before

    @contextlib.contextmanager
    def preparing(self) -> Iterator[None]:
        """Work that comes before the first record keeps the loop: nothing can move meanwhile."""
        with self._lock:
            begin, self._preparing = self._clock(), True
        try:
            yield
        finally:
            with self._lock:
                now, self._preparing = self._clock(), False
                self._forgive(now - begin, now)

    # What a thread of its own asks.

    def judge(self, reason: Callable[[Partition], str]) -> list[Stall]:
        """The partitions that stand still, all of them; from now on `check` raises if there are any.

        To be called every second or more often.

        Args:
            reason: What is known of why a partition stands still.
        """
        with self._lock:
            now = self._clock()
            self._wake(now)
            if self._preparing:
                return []
            found = [item for item in self._marks.items() if self._stuck(item[1], now)]
        if not found or not self.timeout_s or self.ending:
            return []
        kept = self._keeps_loop(now)
        stalls = [self._stall(partition, mark, now, kept or reason(partition)) for partition, mark in found]
        with self._lock:
            self._stalled |= {(stall.topic, stall.partition): stall for stall in stalls}
            self._count += len(stalls)
            for _, mark in found:
                # Only what is learned from now on ends the stall.
                mark.moved = mark.heard = False
            self._error = _error(stalls, now - min(mark.still_since for _, mark in found))
        return stalls

    def _begin(self, mark: _Mark, now: float) -> None:
        mark.since, mark.done, mark.ahead, mark.held_at = now, self._done or 0, 0, _NEVER

    def _wake(self, now: float) -> None:
        """Forgives the time in which this process could not see anything, as when it was stopped."""
        nap, self._judged_at = now - self._judged_at, now
        # What prepares for long forgives its time itself.
        if nap > _LONGEST_NAP_S and not self._preparing:
            self._forgive(nap, now)

    def _forgive(self, seconds: float, now: float) -> None:
        for mark in self._marks.values():
            mark.since = min(mark.since + seconds, now)
            mark.heard_at = min(mark.heard_at + seconds, now)
            mark.held_at = min(mark.held_at + seconds, now)
        self._done_at = min(self._done_at + seconds, now)
        self._looked_at = min(self._looked_at + seconds, now)

    def _stuck(self, mark: _Mark, now: float) -> bool:
        if now - mark.still_since < self.timeout_s:
            return False
        moving = now - self._done_at < self.timeout_s
        held = now - mark.held_at < self.timeout_s
        return not (moving and (held or (self._done or 0) - mark.done < mark.ahead))

    def _keeps_loop(self, now: float) -> str | None:
        """What the loop has been doing for most of the timeout, instead of coming round."""
        return None if now - self._looked_at < self.timeout_s / 2 else self._activity

    def _stall(self, partition: Partition, mark: _Mark, now: float, reason: str) -> Stall:
        since = datetime.now(UTC) - timedelta(seconds=now - mark.still_since)
        earlier = self._stalled.get(partition)
        if earlier is not None and earlier.position == mark.position:
            since = earlier.since
        return Stall(*partition, mark.position, mark.end, since, reason)

    def _clear(self) -> None:
        for partition, stall in list(self._stalled.items()):
            mark = self._marks.get(partition)
            if mark is None:
                gone = self._assigned
            else:
                at, before = mark.position, stall.position
                moved = mark.moved and at is not None and (before is None or at > before)
                gone = moved or (mark.heard and not mark.behind)
            if gone:
                del self._stalled[partition]


def _error(stalls: list[Stall], lasted_s: float) -> StalledError:
    first = min(stalls, key=lambda stall: stall.since)
    position = "unknown" if first.position is None else first.position
    end = "unknown" if first.end is None else first.end
    text = f"no progress for {lasted_s:.0f} s at position {position}, log end {end}: {first.reason}"
    if len(stalls) > 1:
        text += f"; and {len(stalls) - 1} more partitions"
    return StalledError(text, topic=first.topic, partition=first.partition, offset=first.position)

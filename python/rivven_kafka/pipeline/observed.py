"""What a connector counts beside the counters of its direction, through all its runs."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping

from rivven_kafka._native import Histogram
from rivven_kafka.pipeline.pace import Pace

CAUSES = ("format", "invalid", "other", "tombstone", "too_large")
"""Why a record cannot be delivered, as `BadRecord.cause` says it."""
FILTERED = "filtered"
"""Why a record is not to be delivered: a filter of the transforms dropped it."""
TOMBSTONE = "tombstone"


class Observed:
    """Counters and distributions. May be used by several threads at once.

    Attributes:
        latencies: From the timestamp of a record to the acknowledgement of the other side (ms).
        commit_latencies: From the begin of a commit of positions to its acknowledgement (ms).
        pace: How fast records are delivered.
    """

    def __init__(self) -> None:
        self.latencies = Histogram.of_latencies()
        self.commit_latencies = Histogram.of_latencies()
        self.pace = Pace()
        self._lock = threading.Lock()
        self._rebalances = 0
        self._dead_letters = Counter(dict.fromkeys(CAUSES, 0))
        self._skipped = Counter(dict.fromkeys((*CAUSES, FILTERED), 0))

    @property
    def rebalances(self) -> int:
        """Assignments of partitions, the first one included."""
        return self._rebalances

    @property
    def dead_letters(self) -> Mapping[str, int]:
        """Records that went to the dead letter topic, by reason."""
        with self._lock:
            return dict(self._dead_letters)

    @property
    def skipped(self) -> Mapping[str, int]:
        """Records that were left out for good, by reason."""
        with self._lock:
            return dict(self._skipped)

    def rebalanced(self) -> None:
        """Partitions were assigned."""
        with self._lock:
            self._rebalances += 1

    def dead_letter(self, reason: str) -> None:
        """A dead letter is stored."""
        with self._lock:
            self._dead_letters[reason] += 1

    def skip(self, reason: str, count: int = 1) -> None:
        """Records are left out for good."""
        with self._lock:
            self._skipped[reason] += count

    def committed(self, seconds: float) -> None:
        """A commit of positions was acknowledged after this time (s)."""
        self.commit_latencies.add(max(round(seconds * 1000), 0))

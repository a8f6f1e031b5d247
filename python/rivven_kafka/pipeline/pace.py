"""How fast a connector delivers, and when it last did."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

_WINDOW_S = 10.0


class Rate(NamedTuple):
    """What was delivered per second."""

    records_per_second: float
    bytes_per_second: float


class Pace:
    """Remembers what was delivered by when. May be used by several threads at once.

    Args:
        clock: Seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: deque[tuple[float, int, int]] = deque([(clock(), 0, 0)])
        self._last: datetime | None = None

    @property
    def last_progress(self) -> datetime | None:
        """When something was last seen to be delivered, to about a second; None if nothing was."""
        return self._last

    def note(self, records: int, size: int) -> Rate:
        """What was delivered until now, by all runs: records and bytes.

        Returns:
            The mean of the last ten seconds.
        """
        with self._lock:
            now = self._clock()
            if records != self._seen[-1][1]:
                self._last = datetime.now(UTC)
            # One from before the window stays: what has come since is measured against it.
            while len(self._seen) > 1 and self._seen[1][0] <= now - _WINDOW_S:
                self._seen.popleft()
            then, records_then, size_then = self._seen[0]
            if now > self._seen[-1][0]:
                self._seen.append((now, records, size))
            lasted = now - then
            if lasted <= 0:
                return Rate(0.0, 0.0)
            # A run that begins may be looked at before it adds to those before it.
            return Rate(max(records - records_then, 0) / lasted, max(size - size_then, 0) / lasted)

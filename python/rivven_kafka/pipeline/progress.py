"""Notices that nothing gets done although there is something to do."""

from __future__ import annotations

import time
from collections.abc import Callable


class Progress:
    """Watches a counter of what is done.

    Args:
        limit_ms: How long it may stand still while something waits (ms).
        clock: Seconds, monotonic.
    """

    def __init__(self, limit_ms: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit_s = limit_ms / 1000
        self._clock = clock
        self._done = -1
        self._since = clock()

    def stuck(self, waiting: bool, done: int) -> bool:
        """Whether something has waited for longer than the limit, and nothing was done meanwhile.

        Args:
            waiting: Whether something waits now.
            done: The counter.
        """
        now = self._clock()
        if not waiting or done != self._done:
            self._done, self._since = done, now
        return now - self._since > self._limit_s

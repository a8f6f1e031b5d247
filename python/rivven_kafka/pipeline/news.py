"""What a counter has gained, for messages that are not to come for each record."""

from __future__ import annotations

import math
import time

_EVERY_S = 60.0


class News:
    """Tells of a counter that has grown, at most once a minute."""

    def __init__(self) -> None:
        self._told = 0
        self._told_at = -math.inf

    def of(self, count: int) -> int:
        """What has come since it was told last; 0 where nothing has, or it is too early to tell again.

        Args:
            count: How many there were until now.
        """
        now = time.monotonic()
        if count <= self._told or now - self._told_at < _EVERY_S:
            return 0
        new, self._told, self._told_at = count - self._told, count, now
        return new

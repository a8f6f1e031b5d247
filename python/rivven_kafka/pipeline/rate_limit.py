"""Limits how fast records pass: a token bucket."""

from __future__ import annotations

import time
from collections.abc import Callable

_DEFAULT_BURST = 0.1


class RateLimit:
    """Counts records against a rate.

    Records are taken in blocks, whose size is known only when they are there: the balance may go below zero,
    and then nothing is allowed until time has paid for it. So the rate holds for blocks of any size.

    Args:
        per_second: Most records per second; 0: no limit.
        burst: Records that may pass at once after a quiet time; a tenth of `per_second` if None.
        clock: Seconds, monotonic.
    """

    def __init__(
        self, per_second: int, burst: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_second = per_second
        self._burst = max(1.0, per_second * _DEFAULT_BURST if burst is None else burst)
        self._clock = clock
        self._balance = self._burst
        self._then = clock()

    @property
    def limited(self) -> bool:
        """Whether there is a limit."""
        return self._per_second > 0

    @property
    def burst(self) -> int:
        """Records that may pass at once after a quiet time."""
        return int(self._burst)

    def allowed(self, most: int) -> int:
        """How many records may pass now, at most `most`."""
        if not self.limited:
            return most
        now = self._clock()
        self._balance = min(self._burst, self._balance + (now - self._then) * self._per_second)
        self._then = now
        return max(0, min(most, int(self._balance)))

    def spend(self, records: int) -> None:
        """Records have passed."""
        self._balance -= records

    def wait_ms(self, most: int) -> int:
        """Time until a record may pass (ms), at most `most`."""
        if not self.limited or self._balance >= 1:
            return 0
        return min(most, int((1 - self._balance) / self._per_second * 1000) + 1)

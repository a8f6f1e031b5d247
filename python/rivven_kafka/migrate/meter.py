"""How fast something goes, and how long it will take."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

_WINDOW_S = 15.0


class Rates(NamedTuple):
    """Amounts per second.

    Attributes:
        offsets: Offsets.
        records: Records.
        size_bytes: Bytes.
    """

    offsets: float
    records: float
    size_bytes: float


class Meter:
    """Rates over the last seconds, from amounts that only grow."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int, int, int]] = deque()

    def add(self, at_s: float, offsets: int, records: int, size_bytes: int) -> None:
        """So much had been done at that time (s, by a clock that never goes back)."""
        self._samples.append((at_s, offsets, records, size_bytes))
        # One that is older than the window is kept: the rate of few samples would jump.
        while len(self._samples) > 2 and at_s - self._samples[1][0] >= _WINDOW_S:
            self._samples.popleft()

    def rates(self) -> Rates:
        """Amounts per second, zeros while they cannot be told."""
        if len(self._samples) < 2:
            return Rates(0.0, 0.0, 0.0)
        first, last = self._samples[0], self._samples[-1]
        seconds = last[0] - first[0]
        if seconds <= 0:
            return Rates(0.0, 0.0, 0.0)
        return Rates(
            *(max(after - before, 0) / seconds for before, after in zip(first[1:], last[1:], strict=True))
        )

    def eta_s(self, left: int) -> float | None:
        """How long so many offsets will take (s), None while that cannot be told."""
        if left <= 0:
            return 0.0
        rate = self.rates().offsets
        return left / rate if rate > 0 else None

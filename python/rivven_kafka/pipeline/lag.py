"""How far the partitions of a connector are behind, and which stand still."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

Partition = tuple[str, int]
"""A topic of the side that is read, and its partition."""
Positions = list[tuple[str, int, int]]
"""Topics, partitions, and the next offsets to read."""
Times = list[tuple[str, int, int | None, int | None]]
"""Topics, partitions, and timestamps: of the first record not delivered, of the one before it (ms)."""

FRESH = 2.5
"""After how many questions without an answer the end of a log is not known any more."""


@dataclass(frozen=True)
class Stall:
    """A partition that stands still.

    Attributes:
        topic: Topic of the side that is read.
        partition: Its partition.
        position: Everything before it is delivered; None if it was never learned.
        end: The end of the log; None if it was never learned.
        since: Since when nothing has moved.
        reason: What is known of the cause.
    """

    topic: str
    partition: int
    position: int | None
    end: int | None
    since: datetime
    reason: str


@dataclass(frozen=True)
class Lag:
    """How far a partition is behind.

    Attributes:
        topic: Topic of the side that is read.
        partition: Its partition.
        position: Everything before it is delivered; None while it is not known.
        end: The end of the log when it was last heard of; None while it is not known.
        fresh: Whether the end was heard of lately: the log may have grown since.
        seconds: Age of the first record that is not delivered (s), at most; 0 where there is none, None where
            that is not known.
        committed: The offset that was committed last; None until one was.
    """

    topic: str
    partition: int
    position: int | None
    end: int | None
    fresh: bool = True
    seconds: float | None = None
    committed: int | None = None

    @property
    def records(self) -> int | None:
        """Offsets from the position to the end, None while one of them is not known."""
        if self.position is None or self.end is None or not self.fresh:
            return None
        return max(self.end - self.position, 0)

    @property
    def behind(self) -> bool:
        """Whether it is known that there is something to deliver; also where it is not known how much."""
        return self.position is not None and self.end is not None and self.position < self.end

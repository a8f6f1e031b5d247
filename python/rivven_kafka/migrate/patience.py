"""When a migration that is started again and again is given up."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """How long it may fail without any progress.

    Attributes:
        restarts: So many restarts in a row are always allowed (count).
        seconds: And so much time since the last progress (s); after both it is given up.
        longest_s: No more time than this, once it was restarted (s).
    """

    restarts: int = 5
    seconds: float = 120.0
    longest_s: float = 900.0

    def is_over(self, restarts: int, still_s: float) -> bool:
        """Whether to give up.

        Args:
            restarts: Restarts since the last progress.
            still_s: Time since then (s).
        """
        if not restarts:
            return False
        return (restarts >= self.restarts and still_s >= self.seconds) or still_s >= self.longest_s


class Restarts:
    """Watches one source.

    Args:
        patience: When it is given up.
    """

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._done: int | None = None
        self._restarts = 0
        self._since_s = 0.0

    def is_over(self, now_s: float, done: int, restarts: int) -> bool:
        """Whether to give up.

        Args:
            now_s: The time (s, by a clock that never goes back).
            done: What it has done; only that it grows matters.
            restarts: How often it was started again.
        """
        if self._done is None or done > self._done:
            self._done, self._restarts, self._since_s = done, restarts, now_s
        return self._patience.is_over(restarts - self._restarts, now_s - self._since_s)

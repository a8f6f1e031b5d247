"""How long to wait before a failed connector is started again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RestartBackoff:
    """Pauses that double from one failure to the next, up to a limit.

    Attributes:
        first_s: Pause after the first failure (seconds).
        longest_s: No pause is longer (seconds).
        healthy_after_s: A run that lasted longer counts as recovered: its failure is a first one (seconds).
        refused_for_s: A login that is refused time and again for so long is refused for good (seconds).
    """

    first_s: float = 1.0
    longest_s: float = 60.0
    healthy_after_s: float = 60.0
    refused_for_s: float = 60.0

    def next_pause(self, last_pause_s: float | None, ran_s: float) -> float:
        """The pause before the next start (seconds).

        Args:
            last_pause_s: The pause before the run that has failed, None if it was the first run.
            ran_s: How long that run lasted (seconds).
        """
        if last_pause_s is None or ran_s > self.healthy_after_s:
            return min(self.first_s, self.longest_s)
        return min(2 * last_pause_s, self.longest_s)


class Refusals:
    """For how long a connector has been refused, one run after the other."""

    def __init__(self) -> None:
        self._since: float | None = None

    def lasted(self, now: float, *, admitted: bool) -> float:
        """How long ago the first refusal was, now that there is another one (seconds).

        Args:
            now: By the monotonic clock (s).
            admitted: Whether the run had been let in before it was refused.
        """
        if self._since is None or admitted:
            self._since = now
        return now - self._since

    def clear(self) -> None:
        """A run ended in another way."""
        self._since = None

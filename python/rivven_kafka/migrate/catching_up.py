"""Whether a live link keeps up with Kafka."""

from __future__ import annotations

from collections.abc import Sequence

from rivven_kafka.pipeline.lag import FRESH, Lag

_BEHIND_AFTER_S = 60.0
_OLDEST_ENDS_S = FRESH * 5.0
"""Age of the ends of logs that count as fresh, at most: a source asks every five seconds, or more often."""


class CatchingUp:
    """Compares the positions of a source with ends of logs that were seen before.

    Under load there is always a record that was written a moment ago, so the lag may never be 0. What counts
    is that everything Kafka held at one moment is in Rivven, not long after.
    """

    def __init__(self) -> None:
        self.caught_up: bool | None = None
        """None before the first time."""
        self.held_s: float | None = None
        """What Kafka held at this moment (s, by the same clock) is delivered; None before the first time."""
        self._mark: dict[tuple[str, int], int] | None = None
        self._marked_s = self._passed_s = 0.0

    def look(self, now_s: float, lag: Sequence[Lag], *, answered: bool = True) -> bool | None:
        """Notes how far the partitions are.

        Args:
            now_s: The time (s, by a clock that never goes back).
            lag: Of all partitions of the source; empty while it has none.
            answered: Whether Rivven has given a sign of life lately.

        Returns:
            True when it has caught up just now, False when it has fallen behind, None if nothing has changed.
        """
        known = {(each.topic, each.partition): each for each in lag}
        complete = bool(known) and all(
            each.end is not None and each.position is not None for each in known.values()
        )
        if self._mark is not None and known and not known.keys() >= self._mark.keys():
            # Nobody tells how far a partition comes that is not ours any more.
            self._mark = None
        # An end that is old says nothing of what Kafka holds now.
        if self._mark is None and complete and answered and all(each.fresh for each in lag):
            self._mark = {place: each.end or 0 for place, each in known.items()}
            self._marked_s = now_s
        mark = self._mark
        if (
            complete
            and mark is not None
            and all((known[at].position or 0) >= end for at, end in mark.items())
        ):
            late = now_s - self._marked_s >= _BEHIND_AFTER_S
            self.held_s = self._marked_s - _OLDEST_ENDS_S
            self._mark, self._passed_s = None, now_s
            return None if late and self.caught_up is None else self._change(not late)
        behind = now_s - self._passed_s >= _BEHIND_AFTER_S
        return self._change(False) if behind and self.caught_up else None

    def _change(self, caught_up: bool) -> bool | None:
        if self.caught_up is caught_up:
            return None
        self.caught_up = caught_up
        return caught_up

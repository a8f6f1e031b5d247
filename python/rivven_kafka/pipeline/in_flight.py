"""How much of a source may be on its way to Rivven."""

from __future__ import annotations

from rivven_kafka._native import Publisher
from rivven_kafka.config import SourceEntry


class InFlightLimit:
    """The limits of one source.

    Args:
        entry: The source's section: `max_in_flight_bytes`, `rate_limit.max_in_flight`, `max_poll_records`.
    """

    def __init__(self, entry: SourceEntry) -> None:
        self._most_bytes = entry.config.max_in_flight_bytes
        self._most_records = entry.rate_limit.max_in_flight
        self._most_at_once = entry.config.max_poll_records

    def allowed(self, publisher: Publisher) -> int:
        """How many records may be taken at a time; at least one, since a paused consumer returns none."""
        if not self._most_records:
            return self._most_at_once
        return max(1, min(self._most_at_once, self._most_records - publisher.in_flight_records()))

    def is_full(self, publisher: Publisher) -> bool:
        """Whether as much is in flight as may be."""
        return self._reaches(publisher, self._most_bytes)

    def has_room(self, publisher: Publisher) -> bool:
        """Whether so much of it has gone that fetching is worth while again."""
        return not self._reaches(publisher, self._most_bytes // 2)

    def _reaches(self, publisher: Publisher, most_bytes: int) -> bool:
        if self._most_records and publisher.in_flight_records() >= self._most_records:
            return True
        return publisher.in_flight_bytes() >= most_bytes

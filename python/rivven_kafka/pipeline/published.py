"""What the publishers of a source have done, one after the other, as each run makes a new one."""

from __future__ import annotations

from rivven_kafka._native import Publisher
from rivven_kafka.pipeline.observed import FILTERED, TOMBSTONE, Observed

_COUNTERS = ("records_published", "records_suppressed", "echoes_refused", "bytes_published")


class Published:
    """Adds up what publishers count. May be asked by any thread.

    Args:
        observed: Counts what they leave out.
    """

    def __init__(self, observed: Observed) -> None:
        self._observed = observed
        # What was counted before, and who counts now; replaced as a whole, for others read it at any time.
        self._state: tuple[dict[str, int], Publisher | None] = (dict.fromkeys(_COUNTERS, 0), None)
        self._filtered = self._tombstones = 0

    @property
    def records(self) -> int:
        """Records that Rivven has acknowledged."""
        return self._total("records_published")

    @property
    def suppressed(self) -> int:
        """Records that were not published because Rivven has them already."""
        return self._total("records_suppressed")

    @property
    def echoes(self) -> int:
        """Records that were not published because they have been in the topic."""
        return self._total("echoes_refused")

    @property
    def size(self) -> int:
        """Bytes of the requests that Rivven has acknowledged."""
        return self._total("bytes_published")

    def change(self, publisher: Publisher | None) -> None:
        """Counts what this publisher does from now on, beside what others have done."""
        self._state = {name: self._total(name) for name in _COUNTERS}, publisher
        self._filtered = self._tombstones = 0

    def succeed(self, before: Published) -> None:
        """Counts on from another one, whose publishers have ended."""
        self._state = {name: before._total(name) for name in _COUNTERS}, None

    def count_left_out(self) -> None:
        """Counts what was not published on purpose since the last call."""
        publisher = self._state[1]
        if publisher is None:
            return
        stats = publisher.stats()
        filtered, skipped = stats["records_filtered"], stats["records_skipped"]
        tombstones = max(skipped - filtered, self._tombstones)
        self._observed.skip(FILTERED, filtered - self._filtered)
        self._observed.skip(TOMBSTONE, tombstones - self._tombstones)
        self._filtered, self._tombstones = filtered, tombstones

    def _total(self, name: str) -> int:
        before, publisher = self._state
        return before[name] + (0 if publisher is None else int(publisher.stats()[name]))

"""What the publishers of a source have done, one after the other, as each run makes a new one."""

from __future__ import annotations

from rivven_kafka._native import Publisher
from rivven_kafka.pipeline.observed import FILTERED, TOMBSTONE, Observed


class Published:
    """Adds up what publishers count. May be asked by any thread.

    Args:
        observed: Counts what they leave out.
    """

    def __init__(self, observed: Observed) -> None:
        self._observed = observed
        self._publisher: Publisher | None = None
        self._before = {"records_published": 0, "records_suppressed": 0, "bytes_published": 0}
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
    def size(self) -> int:
        """Bytes of the requests that Rivven has acknowledged."""
        return self._total("bytes_published")

    def change(self, publisher: Publisher | None) -> None:
        """Counts what this publisher does from now on, beside what others have done."""
        before = {name: self._total(name) for name in self._before}
        # In this order: for a moment too little is better than too much, which would look like a new record.
        self._publisher = None
        self._before = before
        self._publisher = publisher
        self._filtered = self._tombstones = 0

    def succeed(self, before: Published) -> None:
        """Counts on from another one, whose publishers have ended."""
        self._before = {name: before._total(name) for name in self._before}

    def count_left_out(self) -> None:
        """Counts what was not published on purpose since the last call."""
        if self._publisher is None:
            return
        stats = self._publisher.stats()
        filtered, skipped = stats["records_filtered"], stats["records_skipped"]
        tombstones = max(skipped - filtered, self._tombstones)
        self._observed.skip(FILTERED, filtered - self._filtered)
        self._observed.skip(TOMBSTONE, tombstones - self._tombstones)
        self._filtered, self._tombstones = filtered, tombstones

    def _total(self, name: str) -> int:
        publisher = self._publisher
        return self._before[name] + (0 if publisher is None else int(publisher.stats()[name]))

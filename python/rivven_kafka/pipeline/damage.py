"""Tells of what a Rivven log that was damaged by a crash does not give back."""

from __future__ import annotations

import logging
import time

from rivven_kafka._native import Fetcher, KafkaSinkMetrics

log = logging.getLogger(__name__)

_EVERY_S = 5.0
"""Time between two reports: a compacted topic has gaps in every answer."""
_SIGNS = {
    "gaps": "the log skips offsets, records are missing",
    "stalls": "the log goes on, but its next record cannot be read",
    "rewinds": "the log returned records again, it was damaged by a crash",
    "deletions": "Rivven has deleted records that were not read",
}


class Damage:
    """Logs, and counts as errors, the signs of damage that a fetcher has seen.

    Args:
        connector: Name of the sink.
        fetcher: Sees them.
        metrics: Counts them.
    """

    def __init__(self, connector: str, fetcher: Fetcher, metrics: KafkaSinkMetrics) -> None:
        self._connector = connector
        self._fetcher = fetcher
        self._metrics = metrics
        self._told = dict.fromkeys(_SIGNS, 0)
        self._next = 0.0

    def report(self) -> None:
        """Tells of what is new, at most every few seconds."""
        now = time.monotonic()
        if now < self._next:
            return
        stats = self._fetcher.stats()
        for name, text in _SIGNS.items():
            if stats[name] > self._told[name]:
                count, self._told[name] = stats[name] - self._told[name], stats[name]
                self._metrics.record_error(count)
                self._next = now + _EVERY_S
                log.warning("%s (%d times)", text, count, extra={"connector": self._connector})

"""What sources and sinks have in common for whoever runs them: how they stand, and a way to end them."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import UTC, datetime

from rivven_kafka._native import KafkaSinkMetrics, KafkaSourceMetrics

log = logging.getLogger(__name__)


class Pipeline(ABC):
    """A source or a sink. `run` belongs to one thread, everything else may be called from any.

    Args:
        name: Name of the connector.
    """

    metrics: KafkaSourceMetrics | KafkaSinkMetrics

    def __init__(self, name: str) -> None:
        self.name = name
        self._assigned_since: datetime | None = None
        self._waiting: tuple[str, datetime] | None = None
        self._lock = threading.Lock()
        self._closers: list[Callable[[], object]] = []
        self._aborted = False

    @property
    def assigned_since(self) -> datetime | None:
        """Since when the group has given it partitions, or told it that it has none; None if it has not."""
        return self._assigned_since

    @property
    def waiting(self) -> tuple[str, datetime] | None:
        """Which broker keeps it from going on, and since when; None while it goes on."""
        return self._waiting

    def run(self, stop: threading.Event) -> None:
        """Moves records until `stop` is set; then delivers what is on the way and commits.

        Raises:
            RivvenKafkaError: It cannot go on. Everything committed has been delivered.
            TimeoutExpired: Not everything was delivered within `shutdown_timeout_ms` after the stop.
        """
        try:
            self._run(stop)
        except BaseException:
            self.metrics.record_error()
            raise
        finally:
            self._assigned_since = self._waiting = None
            with self._lock:
                self._closers = []

    def abort(self) -> None:
        """Ends `run` soon and for good, also while it waits for Rivven; what is not committed comes again."""
        with self._lock:
            self._aborted = True
            closers, self._closers = self._closers, []
        for close in closers:
            close()

    @abstractmethod
    def delivered(self) -> int:
        """Records that the other side has acknowledged, in all runs."""

    @abstractmethod
    def _run(self, stop: threading.Event) -> None:
        """Does the work of `run`."""

    def _is_aborted(self) -> bool:
        """Whether `abort` was called."""
        return self._aborted

    def _on_abort(self, close: Callable[[], object]) -> None:
        """Calls `close`, which must not wait, at an abort; at once if it has come already."""
        with self._lock:
            if not self._aborted:
                self._closers.append(close)
                return
        close()

    def _set_waiting(self, reason: str | None) -> None:
        """Notes, and logs, that a broker keeps it from going on (`reason`), or that it goes on (None)."""
        if (reason is None) == (self._waiting is None):
            return
        extra = {"connector": self.name}
        if reason is None:
            log.info("goes on", extra=extra)
            self._waiting = None
        else:
            log.warning("waits: %s", reason, extra=extra)
            self._waiting = (reason, datetime.now(UTC))

    def _set_assigned(self, assigned: bool) -> None:
        """Notes that the group has assigned partitions, or has taken them away."""
        self._assigned_since = datetime.now(UTC) if assigned else None

"""What sources and sinks have in common for whoever runs them: how they stand, and a way to end them."""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import UTC, datetime

from rivven_kafka._native import KafkaSinkMetrics, KafkaSourceMetrics
from rivven_kafka.config import SecurityConfig
from rivven_kafka.errors import ConfigError, ForeignWriterError, LogDamagedError
from rivven_kafka.kafka.token_expiry import token_expiry
from rivven_kafka.pipeline.lag import Partition, Stall
from rivven_kafka.pipeline.observed import Observed
from rivven_kafka.pipeline.pace import Rate
from rivven_kafka.pipeline.pulse import FRESH_S
from rivven_kafka.pipeline.watchdog import Watchdog

log = logging.getLogger(__name__)

_JUDGE_EVERY_S = 1.0
# Once a partition stands still: for the loop to come round and see it, and then to end in order.
_NOTICE_S = 2.0
_END_S = 12.0
_MOST_LOGGED = 10
# After shutdown_timeout_ms: later than a process that ends aborts it, which is for good.
_OVERDUE_S = 3.0
_TEAR_EVERY_S = 2.0
# Told although something stands still as well; all others may come of tearing the loop out of a wait.
_CAUSES = (ConfigError, ForeignWriterError, LogDamagedError)


class Pipeline(ABC):
    """A source or a sink. `run` belongs to one thread, everything else may be called from any.

    Args:
        name: Name of the connector.
        security: How it logs in to Kafka.
        stall_timeout_ms: When a partition without progress is stalled (ms); 0: never.
        shutdown_timeout_ms: Longest time to deliver and commit after the stop (ms).
        request_timeout_ms: Longest time that Rivven has for an answer (ms).
    """

    metrics: KafkaSourceMetrics | KafkaSinkMetrics

    def __init__(
        self,
        name: str,
        security: SecurityConfig,
        stall_timeout_ms: int,
        shutdown_timeout_ms: int,
        request_timeout_ms: int,
    ) -> None:
        self.name = name
        self._security = security
        self._patience_s = max(request_timeout_ms / 1000, FRESH_S)
        self._end_within_s = shutdown_timeout_ms / 1000 + _OVERDUE_S
        self.watchdog = Watchdog(stall_timeout_ms)
        self.observed = Observed()
        self._assigned_since: datetime | None = None
        self._waiting: tuple[str, datetime] | None = None
        self._lock = threading.Lock()
        self._closers: list[Callable[[], object]] = []
        self._aborted = False
        self._held = threading.Event()
        self._admitted = False

    @property
    def paused(self) -> bool:
        """Whether it was told to read nothing."""
        return self._held.is_set()

    @property
    def admitted(self) -> bool:
        """Whether the run, or the last one, had its partitions: all brokers had let it in."""
        return self._admitted

    def pause(self) -> None:
        """Reads nothing from now on, in later runs too; what was read is delivered, and the group goes on."""
        self._held.set()

    def resume(self) -> None:
        """Reads again."""
        self._held.clear()

    def succeed(self, before: Pipeline) -> None:
        """Counts on where another pipeline of the same direction has ended; to be called before `run`."""
        self.observed = before.observed
        if before.paused:
            self.pause()

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
            StalledError: A partition has made no progress for `stall_timeout_ms`.
            TimeoutExpired: Not everything was delivered within `shutdown_timeout_ms` after the stop.
        """
        self._admitted = False
        self.watchdog.reset()
        ended = threading.Event()
        guard = threading.Thread(
            target=self._guard, args=(stop, ended), name=f"{self.name}-watchdog", daemon=True
        )
        guard.start()
        try:
            self._run(stop)
        except BaseException as error:
            self.metrics.record_error()
            stalled = self.watchdog.error
            told = stalled is error or isinstance(error, _CAUSES) or not isinstance(error, Exception)
            if stalled is None or told:
                raise
            # Its loop was torn out of what held it.
            raise stalled from error
        finally:
            ended.set()
            guard.join()
            self.watchdog.reset()
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
    def delivered_bytes(self) -> int:
        """Bytes that the other side has acknowledged, in all runs."""

    @property
    def rate(self) -> Rate:
        """What was delivered per second lately."""
        return self.observed.pace.note(self.delivered(), self.delivered_bytes())

    @property
    def answered(self) -> bool:
        """Whether the side that is written to has given a sign of life within the last seconds."""
        return False

    @property
    def token_expiry(self) -> float | None:
        """When the token, or the temporary key, for Kafka expires (s since 1970); None if it does not."""
        return token_expiry(self._security)

    def suppressed(self) -> int:
        """Records that were not delivered because the other side had them, in all runs."""
        return 0

    def echoes(self) -> int:
        """Records that were not delivered because they had been there, in all runs; see `loop_protection`."""
        return 0

    @abstractmethod
    def _run(self, stop: threading.Event) -> None:
        """Does the work of `run`."""

    @abstractmethod
    def _stall_reason(self, partition: Partition) -> str:
        """What is known of why a partition stands still. Called from any thread while `run` is under way."""

    def _guard(self, stop: threading.Event, ended: threading.Event) -> None:
        """Watches the loop from outside: it may hang in a call itself."""
        self._guard_progress(stop, ended)
        if not stop.is_set() or ended.wait(self._end_within_s):
            return
        log.warning("still not stopped: ends its waits for Rivven", extra={"connector": self.name})
        self._interrupt()
        # A run that was told to stop while it began may open a connection only now.
        while not ended.wait(_TEAR_EVERY_S):
            self._interrupt()

    def _guard_progress(self, stop: threading.Event, ended: threading.Event) -> None:
        """Ends the run when a partition stands still; returns at the stop, or when that was done."""
        timeout_s = self.watchdog.timeout_s
        every_s = min(_JUDGE_EVERY_S, timeout_s / 10) or _JUDGE_EVERY_S
        stalls: list[Stall] = []
        while not stalls:
            if ended.wait(every_s) or stop.is_set():
                return
            self.observed.pace.note(self.delivered(), self.delivered_bytes())
            if self.watchdog.ending and timeout_s:
                # Its last commit may hang too.
                self._interrupt_after(timeout_s, every_s, stop, ended)
                return
            stalls = self.watchdog.judge(self._stall_reason)
            self._note_kept()
        for stall in stalls[:_MOST_LOGGED]:
            log.warning(
                "stalled since %s, log end %s: %s",
                stall.since.isoformat(timespec="seconds"),
                stall.end,
                stall.reason,
                extra={
                    "connector": self.name,
                    "topic": stall.topic,
                    "partition": stall.partition,
                    "offset": stall.position,
                },
            )
        if len(stalls) > _MOST_LOGGED:
            log.warning(
                "%d more partitions are stalled", len(stalls) - _MOST_LOGGED, extra={"connector": self.name}
            )
        for patience_s in (_NOTICE_S, _END_S):
            if ended.wait(patience_s) or stop.is_set():
                return
            if patience_s == _END_S or not self.watchdog.noticed:
                self._interrupt()
        # A restart may be asked for while it still hangs.
        while not ended.wait(every_s) and not stop.is_set():
            pass

    def _note_kept(self) -> None:
        """Notes that a call keeps the loop, which cannot tell of it itself; when it comes round it does."""
        seconds, activity = self.watchdog.kept()
        # What has no partitions is not said to be running.
        if seconds > self._patience_s and self._assigned_since is not None and self._waiting is None:
            self._set_waiting(activity or "a broker does not answer")

    def _interrupt_after(
        self, timeout_s: float, every_s: float, stop: threading.Event, ended: threading.Event
    ) -> None:
        """Ends the waits of a run that goes on for so long; returns at the stop, or when that was done."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if ended.wait(every_s) or stop.is_set():
                return
        self._interrupt()

    def _interrupt(self) -> None:
        """Ends the waits for Rivven of this run."""
        with self._lock:
            closers = list(self._closers)
        for close in closers:
            close()

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
        before = self._waiting
        if reason == (None if before is None else before[0]):
            return
        extra = {"connector": self.name}
        if reason is None:
            log.info("goes on", extra=extra)
            self._waiting = None
        else:
            log.warning("waits: %s", reason, extra=extra)
            self._waiting = (reason, datetime.now(UTC) if before is None else before[1])

    def _set_assigned(self, assigned: bool) -> None:
        """Notes that the group has assigned partitions, or has taken them away."""
        self._admitted |= assigned
        self._assigned_since = datetime.now(UTC) if assigned else None

"""One connector: its thread, its restarts, and how it stands."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from rivven_kafka._native import KafkaSinkMetricsSnapshot, KafkaSourceMetricsSnapshot
from rivven_kafka.errors import (
    AuthenticationError,
    ConfigError,
    ForeignWriterError,
    LogDamagedError,
    RivvenKafkaError,
    TimeoutExpired,
    UnusableFileError,
)
from rivven_kafka.pipeline import SinkPipeline, SourcePipeline
from rivven_kafka.pipeline.lag import Lag, Stall
from rivven_kafka.pipeline.pace import Rate
from rivven_kafka.runtime.backoff import Refusals, RestartBackoff
from rivven_kafka.runtime.distribution import Distribution
from rivven_kafka.runtime.turn import Turn

if TYPE_CHECKING:
    from rivven_kafka.metrics import Direction

log = logging.getLogger(__name__)

_MS = 0.001


class State(StrEnum):
    """How a connector stands."""

    STARTING = "starting"
    """It connects, or waits for its group to assign partitions."""
    RUNNING = "running"
    PAUSED = "paused"
    """It has its partitions, keeps them, and reads nothing, because it was told so."""
    WAITING = "waiting"
    """It has its partitions, and a broker does not answer."""
    RESTARTING = "restarting"
    """It has failed and waits for its next start."""
    STOPPING = "stopping"
    """It delivers and commits what is on the way."""
    STOPPED = "stopped"
    FAILED = "failed"
    """It has given up, or could not stop in order."""


_NOTHING = Distribution((), (0,), 0.0)
_AT_REST = Rate(0.0, 0.0)


@dataclass(frozen=True)
class ConnectorStatus:
    """A connector at one moment.

    Attributes:
        name: Its name.
        direction: "source" or "sink".
        state: How it stands.
        since: Since when it stands so.
        events_processed: Records that the other side has acknowledged.
        last_error: The error that ended its last failed run, None if there was none.
        restarts: Times it was started again after an error.
        next_restart: When it will be started again, None unless it is restarting.
        waiting_for: What keeps it from going on, None unless it is waiting.
        metrics: Its counters.
        stalled: Its partitions that stand still, also while it is restarted because of them.
        stalls: How often partitions were found to stand still.
        lag: How far its partitions are behind; empty while it has none.
        suppressed: Records that were not delivered because the other side had them.
        echoes: Records that were not delivered because they had been there (loop protection).
        paused: Whether it was told to read nothing, however it stands.
        answered: Whether the side that is written to has given a sign of life within the last seconds.
        rate: What was delivered per second in the last ten seconds.
        last_progress: When records were last delivered; None before the first.
        rebalances: Assignments of partitions.
        dead_letters: Records that went to the dead letter topic, by reason.
        skipped: Records that were left out for good, by reason.
        token_expiry: When its token or temporary key for Kafka expires (s since 1970); None without one.
        latency: From the timestamps of records to the acknowledgement of the other side (s).
        commit_latency: From the begin of commits to their acknowledgement (s).
        batch_sizes: Records of polls or batches.
    """

    name: str
    direction: Direction
    state: State
    since: datetime
    events_processed: int
    last_error: str | None
    restarts: int
    next_restart: datetime | None
    waiting_for: str | None
    metrics: KafkaSourceMetricsSnapshot | KafkaSinkMetricsSnapshot
    stalled: tuple[Stall, ...] = ()
    stalls: int = 0
    lag: tuple[Lag, ...] = ()
    suppressed: int = 0
    echoes: int = 0
    paused: bool = False
    answered: bool = False
    rate: Rate = _AT_REST
    last_progress: datetime | None = None
    rebalances: int = 0
    dead_letters: Mapping[str, int] = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)
    token_expiry: float | None = None
    latency: Distribution = _NOTHING
    commit_latency: Distribution = _NOTHING
    batch_sizes: Distribution = _NOTHING

    @property
    def caught_up(self) -> bool | None:
        """Whether nothing is left to deliver of the partitions that it has; None while that is not known.

        It is not known while one of the sides does not answer: what came meanwhile is not heard of.
        """
        if any(each.behind for each in self.lag):
            return False
        told = self.lag and all(each.records is not None for each in self.lag)
        goes_on = self.state in (State.RUNNING, State.PAUSED) and self.answered
        return True if told and goes_on else None

    @property
    def healthy(self) -> bool:
        """Whether it is running or was paused, and nothing of it stands still."""
        return self.state in (State.RUNNING, State.PAUSED) and not self.stalled


class Connector:
    """Runs a pipeline in a thread of its own, and starts it again after a failure.

    Args:
        pipeline: What to run.
        shutdown_timeout_ms: How long it may deliver what is on the way once it is told to stop (ms).
        backoff: When to start again.
        restarts: How often another connector, whose place it takes, was started again.
    """

    def __init__(
        self,
        pipeline: SourcePipeline | SinkPipeline,
        shutdown_timeout_ms: int,
        backoff: RestartBackoff,
        restarts: int = 0,
    ) -> None:
        self.pipeline = pipeline
        self.direction: Direction = "source" if isinstance(pipeline, SourcePipeline) else "sink"
        self.shutdown_timeout_s = shutdown_timeout_ms / 1000
        self.error: BaseException | None = None
        self._backoff = backoff
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._state = State.STARTING
        self._since = datetime.now(UTC)
        self._last_error: str | None = None
        self._restarts = restarts
        self._next_restart: datetime | None = None
        self._stop: threading.Event | None = None
        self._turn: Turn | None = None
        self._paused_at = self._since
        self._refusals = Refusals()
        self._was_admitted = False

    @property
    def name(self) -> str:
        """Name of the connector."""
        return self.pipeline.name

    @property
    def alive(self) -> bool:
        """Whether its thread is at work."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, stop: threading.Event) -> None:
        """Starts the thread. It ends after `stop` is set, or when another run cannot do better."""
        with self._lock:
            self._stop = stop
            self._start_thread(stop)

    def _start_thread(self, stop: threading.Event) -> None:
        turn = self._turn = Turn(stop)
        # A daemon: one that does not come back from a broker must not hold up the end of the process.
        self._thread = threading.Thread(
            target=self._supervise, args=(stop, turn), name=self.name, daemon=True
        )
        self._thread.start()

    def pause(self) -> None:
        """Reads nothing from now on, after restarts too; what was read is delivered and committed."""
        if not self.pipeline.paused:
            self._paused_at = datetime.now(UTC)
        self.pipeline.pause()

    def resume(self) -> None:
        """Reads again."""
        self.pipeline.resume()

    def restart(self) -> bool:
        """Ends the run under way in order, and begins another one; also one that has given up.

        Returns:
            Whether there will be another one: not while the process ends.
        """
        with self._lock:
            if self._stop is None or self._stop.is_set():
                return False
            if self._turn is not None:
                self._turn.set()
                self._note_stopping()
            else:
                self._state, self._since = State.STARTING, datetime.now(UTC)
                self._start_thread(self._stop)
        return True

    def join(self, timeout_s: float) -> None:
        """Waits for the end of the thread, at most `timeout_s` seconds."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def note_stop(self) -> None:
        """Notes that it was told to stop, and is not started again."""
        with self._lock:
            self._stop = None
            self._note_stopping()

    def _note_stopping(self) -> None:
        """A run that is under way ends; one that failed, or has ended already, stands as it did."""
        if self._state is State.STARTING:
            self._state, self._since = State.STOPPING, datetime.now(UTC)

    def abort(self) -> None:
        """Ends its waits for Rivven."""
        log.warning("still not stopped: gives up waiting for Rivven", extra={"connector": self.name})
        self.pipeline.abort()

    def abandon(self) -> None:
        """Waits no longer for the thread, which cannot be ended."""
        self._note(
            TimeoutExpired("not stopped within shutdown_timeout_ms; what is not committed comes again")
        )
        self._set(State.FAILED)
        log.error("abandoned: %s", self.error, extra={"connector": self.name})

    def status(self) -> ConnectorStatus:
        """How it stands now."""
        assigned, waiting = self.pipeline.assigned_since, self.pipeline.waiting
        delivered = self.pipeline.delivered()
        metrics = self.pipeline.metrics.snapshot()
        watchdog, observed, rate = self.pipeline.watchdog, self.pipeline.observed, self.pipeline.rate
        answered, expiry = self.pipeline.answered, self.pipeline.token_expiry
        with self._lock:
            state, since = self._state, self._since
            if state is State.STARTING and assigned is not None:
                state, since = State.RUNNING, assigned
                if self.pipeline.paused:
                    state, since = State.PAUSED, max(assigned, self._paused_at)
                if waiting is not None:
                    state, since = State.WAITING, waiting[1]
            return ConnectorStatus(
                name=self.name,
                direction=self.direction,
                state=state,
                since=since,
                events_processed=delivered,
                last_error=self._last_error,
                restarts=self._restarts,
                next_restart=self._next_restart,
                waiting_for=waiting[0] if waiting is not None and state is State.WAITING else None,
                metrics=metrics,
                stalled=tuple(watchdog.stalled),
                stalls=watchdog.stalls,
                suppressed=self.pipeline.suppressed(),
                echoes=self.pipeline.echoes(),
                paused=self.pipeline.paused,
                lag=tuple(watchdog.lag),
                answered=answered,
                rate=rate,
                last_progress=observed.pace.last_progress,
                rebalances=observed.rebalances,
                dead_letters=observed.dead_letters,
                skipped=observed.skipped,
                token_expiry=expiry,
                latency=Distribution.of(observed.latencies, _MS),
                commit_latency=Distribution.of(observed.commit_latencies, _MS),
                batch_sizes=Distribution.of(self.pipeline.metrics.batch_sizes),
            )

    def _set(self, state: State, *, restart_in_s: float | None = None) -> None:
        now = datetime.now(UTC)
        with self._lock:
            self._restarts += self._state is State.RESTARTING and state is State.STARTING
            self._state, self._since = state, now
            self._next_restart = None if restart_in_s is None else now + timedelta(seconds=restart_in_s)

    def _note(self, error: BaseException) -> None:
        self.error = error
        with self._lock:
            self._last_error = str(error) or type(error).__name__

    def _supervise(self, stop: threading.Event, turn: Turn) -> None:
        pause: float | None = None
        while True:
            started = time.monotonic()
            again = self._run(turn)
            if not stop.is_set() and not turn.is_set() and self.error is not None and again:
                pause = self._backoff.next_pause(pause, time.monotonic() - started)
                self._set(State.RESTARTING, restart_in_s=pause)
                log.info("restart in %.0f s", pause, extra={"connector": self.name})
                if not turn.wait(pause):
                    self._set(State.STARTING)
                    continue
            next_turn = self._next_turn(stop, turn)
            if next_turn is None:
                return
            turn, pause = next_turn, None
            log.info("restart, as asked", extra={"connector": self.name})

    def _next_turn(self, stop: threading.Event, turn: Turn) -> Turn | None:
        """What ends the next run, if another one was asked for; else notes that this was the last one."""
        with self._lock:
            if turn.is_set() and not stop.is_set():
                self._turn, self._state = Turn(stop), State.STARTING
            else:
                self._turn, self._state = None, State.STOPPED if self.error is None else State.FAILED
            self._since, self._next_restart = datetime.now(UTC), None
            return self._turn

    def _run(self, stop: threading.Event) -> bool:
        """Runs the pipeline once and notes how it ended; returns whether another run can do better."""
        extra = {"connector": self.name}
        try:
            self.pipeline.run(stop)
            self.error = None
        except UnusableFileError as error:
            self._note(error)
            # A certificate that is being renewed may be half written. But one that was never of use is none.
            again = self._was_admitted and self._may_pass()
            log.error("%s: %s", "stopped" if again else "gave up", error, extra=extra)
            return again
        except (ConfigError, ForeignWriterError, LogDamagedError) as error:
            # Only a person can change any of them; a restart would move more records past the damage.
            self._note(error)
            log.error("gave up: %s", error, extra=extra)
            return False
        except AuthenticationError as error:
            self._note(error)
            # A broker that starts, an identity provider that is away, and a certificate that is about to be
            # renewed refuse as well. But brokers lock users out that keep trying.
            again = self._may_pass()
            log.error("%s: %s", "stopped" if again else "gave up", error, extra=extra)
            return again
        except RivvenKafkaError as error:
            self._note(error)
            log.error("stopped: %s", error, extra=extra)
        except BaseException as error:
            # A panic of the native code is no Exception. The thread has nobody above it: unnoticed, it would
            # end as if all were done.
            self._note(error)
            log.exception("stopped by an unexpected error", extra=extra)
        finally:
            self._was_admitted = self._was_admitted or self.pipeline.admitted
        self._refusals.clear()
        return True

    def _may_pass(self) -> bool:
        """Whether a refusal may still be one that passes."""
        lasted = self._refusals.lasted(time.monotonic(), admitted=self.pipeline.admitted)
        return lasted < self._backoff.refused_for_s

"""What the running process tells of itself: the JSON of its HTTP paths, and the metrics of the process."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

import rivven_kafka
from rivven_kafka.pipeline.lag import Lag, Stall
from rivven_kafka.runtime.connector import ConnectorStatus, State
from rivven_kafka.runtime.distribution import Distribution
from rivven_kafka.runtime.runner import Runner
from rivven_kafka.runtime.series import StatusCollector

Report = dict[str, Any]


class Reports:
    """Reports about the connectors of a runner. May be used by several threads at once.

    A process is healthy when all its connectors are running, and no partition of theirs stands still.
    Nothing here holds a part of the configuration other than names, so no secrets.

    Args:
        runner: The connectors.
        control: Whether they can be paused, resumed and restarted over HTTP.
    """

    def __init__(self, runner: Runner, *, control: bool = False) -> None:
        self._runner = runner
        self._control = control
        self._started = datetime.now(UTC)
        self._start = time.monotonic()

    def ready(self) -> tuple[bool, Report]:
        """Whether every connector is running and makes progress, and why not."""
        reasons = [_reason(status) for status in self._runner.status() if not status.healthy]
        return not reasons, {"ready": not reasons, "reasons": reasons}

    def health(self) -> tuple[bool, Report]:
        """Whether every connector is running and makes progress, and how each of them stands."""
        statuses = self._runner.status()
        return _healthy(statuses), {
            "status": _word(statuses),
            "uptime_seconds": self._uptime(),
            **_by_direction(statuses, _summary),
        }

    def status(self) -> Report:
        """Everything there is to know, counters included."""
        statuses = self._runner.status()
        return {
            "status": _word(statuses),
            "version": rivven_kafka.__version__,
            "pid": os.getpid(),
            "started": _time(self._started),
            "uptime_seconds": self._uptime(),
            "control": self._control,
            **_by_direction(statuses, _detail),
        }

    def registry(self) -> CollectorRegistry:
        """A registry with the counters of the connectors, their states, the process and its version."""
        registry = CollectorRegistry()
        registry.register(_Counters(self._runner))
        registry.register(StatusCollector(self._runner.status))
        ProcessCollector(registry=registry)
        labels = {"version": rivven_kafka.__version__, "python": platform.python_version()}
        build = Gauge("rivven_kafka_build_info", "Version of rivven-kafka", labels, registry=registry)
        build.labels(**labels).set(1)
        return registry

    def _uptime(self) -> float:
        return round(time.monotonic() - self._start, 3)


class _Counters(Collector):
    """The counters of the connectors that there are at the time: a reload adds and removes some."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def collect(self) -> Iterable[Metric]:
        collector = self._runner.collector()
        return () if collector is None else collector.collect()


def _healthy(statuses: Iterable[ConnectorStatus]) -> bool:
    return all(status.healthy for status in statuses)


def _word(statuses: Iterable[ConnectorStatus]) -> str:
    return "healthy" if _healthy(statuses) else "unhealthy"


def _by_direction(statuses: Iterable[ConnectorStatus], report: Any) -> Report:
    statuses = list(statuses)
    return {
        f"{direction}s": [report(status) for status in statuses if status.direction == direction]
        for direction in ("source", "sink")
    }


def _summary(status: ConnectorStatus) -> Report:
    return {
        "name": status.name,
        "status": str(status.state),
        "events_processed": status.events_processed,
        "errors_count": status.metrics.errors,
        "last_error": status.last_error,
        "restarts": status.restarts,
        "stalled": [_stall(stall) for stall in status.stalled],
    }


def _detail(status: ConnectorStatus) -> Report:
    return {
        **_summary(status),
        "paused": status.paused,
        "since": _time(status.since),
        "next_restart": None if status.next_restart is None else _time(status.next_restart),
        "waiting_for": status.waiting_for,
        "caught_up": status.caught_up,
        "last_progress": None if status.last_progress is None else _time(status.last_progress),
        "rate": {name: round(value, 3) for name, value in status.rate._asdict().items()},
        "latency": _latency(status.latency),
        "commit_latency": _latency(status.commit_latency),
        "rebalances": status.rebalances,
        "dead_letters": dict(status.dead_letters),
        "skipped": dict(status.skipped),
        "duplicates_suppressed": status.suppressed,
        "token_expiry": _moment(status.token_expiry),
        "echoes_refused": status.echoes,
        "lag": _lag(status.lag),
        "metrics": status.metrics.to_dict(),
    }


def _stall(stall: Stall) -> Report:
    return {
        "topic": stall.topic,
        "partition": stall.partition,
        "position": stall.position,
        "end": stall.end,
        "since": _time(stall.since),
        "reason": stall.reason,
    }


def _latency(latency: Distribution) -> Report:
    p50, p99 = latency.quantile(0.5), latency.quantile(0.99)
    return {
        "p50_seconds": None if p50 is None else round(p50, 6),
        "p99_seconds": None if p99 is None else round(p99, 6),
        "count": latency.count,
    }


def _lag(lag: Sequence[Lag]) -> Report:
    """The total leaves out what is not known; it is None where nothing is."""
    known = [each.records for each in lag if each.records is not None]
    return {
        "total": sum(known) if known else None,
        "partitions": [
            {
                "topic": each.topic,
                "partition": each.partition,
                "position": each.position,
                "end": each.end,
                "records": each.records,
                "seconds": None if each.seconds is None else round(each.seconds, 3),
                "committed": each.committed,
            }
            for each in lag
        ],
    }


def _reason(status: ConnectorStatus) -> str:
    text = f"{status.direction} {status.name}: {status.state} since {_time(status.since)}"
    if status.next_restart is not None:
        text += f", next start {_time(status.next_restart)}"
    if status.stalled:
        first, more = status.stalled[0], len(status.stalled) - 1
        text += f", {first.topic}:{first.partition} stalled since {_time(first.since)}"
        text += f" and {more} more partitions" if more else ""
        return f"{text}: {first.reason}"
    if status.waiting_for is not None:
        return f"{text}: {status.waiting_for}"
    unsettled = status.state is not State.STOPPED and status.last_error is not None
    return f"{text}: {status.last_error}" if unsettled else text


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else _time(datetime.fromtimestamp(seconds, UTC))

"""What the running process tells of itself: the JSON of its HTTP paths, and the metrics of the process."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

import rivven_kafka
from rivven_kafka.runtime.connector import ConnectorStatus, State
from rivven_kafka.runtime.runner import Runner

Report = dict[str, Any]


class Reports:
    """Reports about the connectors of a runner. May be used by several threads at once.

    A process is healthy when all its connectors are running. Nothing here holds a part of the configuration
    other than names, so no secrets.

    Args:
        runner: The connectors.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._started = datetime.now(UTC)
        self._start = time.monotonic()

    def ready(self) -> tuple[bool, Report]:
        """Whether every connector is running, and why not."""
        reasons = [_reason(status) for status in self._runner.status() if status.state is not State.RUNNING]
        return not reasons, {"ready": not reasons, "reasons": reasons}

    def health(self) -> tuple[bool, Report]:
        """Whether every connector is running, and how each of them stands."""
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
            **_by_direction(statuses, _detail),
        }

    def registry(self) -> CollectorRegistry:
        """A registry with the counters of the connectors, their states, the process and its version."""
        registry = CollectorRegistry()
        collector = self._runner.collector()
        if collector is not None:
            registry.register(collector)
        registry.register(_States(self._runner))
        ProcessCollector(registry=registry)
        labels = {"version": rivven_kafka.__version__, "python": platform.python_version()}
        build = Gauge("rivven_kafka_build_info", "Version of rivven-kafka", labels, registry=registry)
        build.labels(**labels).set(1)
        return registry

    def _uptime(self) -> float:
        return round(time.monotonic() - self._start, 3)


class _States(Collector):
    """Whether the connectors are running, and how often they were restarted."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def collect(self) -> Iterable[Metric]:
        labels = ["connector", "direction"]
        running = GaugeMetricFamily(
            "rivven_kafka_connector_running", "Whether the connector is running (1) or not (0)", labels=labels
        )
        restarts = CounterMetricFamily(
            "rivven_kafka_connector_restarts", "Restarts after an error", labels=labels
        )
        for status in self._runner.status():
            values = [status.name, status.direction]
            running.add_metric(values, status.state is State.RUNNING)
            restarts.add_metric(values, status.restarts)
        return running, restarts


def _healthy(statuses: Iterable[ConnectorStatus]) -> bool:
    return all(status.state is State.RUNNING for status in statuses)


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
    }


def _detail(status: ConnectorStatus) -> Report:
    return {
        **_summary(status),
        "since": _time(status.since),
        "next_restart": None if status.next_restart is None else _time(status.next_restart),
        "waiting_for": status.waiting_for,
        "metrics": status.metrics.to_dict(),
    }


def _reason(status: ConnectorStatus) -> str:
    text = f"{status.direction} {status.name}: {status.state} since {_time(status.since)}"
    if status.next_restart is not None:
        text += f", next start {_time(status.next_restart)}"
    if status.waiting_for is not None:
        return f"{text}: {status.waiting_for}"
    unsettled = status.state is not State.STOPPED and status.last_error is not None
    return f"{text}: {status.last_error}" if unsettled else text


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

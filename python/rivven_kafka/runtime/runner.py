"""Runs the connectors of a configuration side by side, each in a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rivven_kafka.config import ConnectConfig, SinkEntry, SourceEntry
from rivven_kafka.kafka.msk import require_aws
from rivven_kafka.pipeline import SinkPipeline, SourcePipeline
from rivven_kafka.pipeline.watchdog import Partition
from rivven_kafka.rivven.options import security_warnings
from rivven_kafka.runtime.backoff import RestartBackoff
from rivven_kafka.runtime.connector import Connector, ConnectorStatus
from rivven_kafka.runtime.turn import Turn

if TYPE_CHECKING:
    from rivven_kafka.metrics import ConnectorCollector

log = logging.getLogger(__name__)

_REPORT_EVERY_S = 10.0
# After shutdown_timeout_ms: for the final commit, and then for what is left of calls to Kafka.
_ABORT_AFTER_S = 2.0
_ABANDON_AFTER_S = 6.0


class Runner:
    """Runs connectors until they are told to stop; one that fails is restarted, the others go on.

    Args:
        config: The configuration; disabled connectors are left out.
        backoff: When to start a failed connector again.
        until: Where sources end, by their names: see `SourcePipeline`. The others never do.

    Raises:
        ConfigError: Credentials of AWS are to be used that this machine does not know.
    """

    def __init__(
        self,
        config: ConnectConfig,
        backoff: RestartBackoff | None = None,
        until: Mapping[str, Mapping[Partition, int]] | None = None,
    ) -> None:
        backoff = backoff or RestartBackoff()
        broker, settings = config.broker, config.settings
        entries: list[SourceEntry | SinkEntry] = [*config.enabled_sources.values()]
        for each in [*entries, *config.enabled_sinks.values()]:
            require_aws(each.config.security)
        self._warnings = tuple(security_warnings(broker))
        ends = until or {}
        self._connectors = [
            Connector(
                SourcePipeline(name, entry, broker, settings, until=ends.get(name)),
                entry.config.shutdown_timeout_ms,
                backoff,
            )
            for name, entry in config.enabled_sources.items()
        ] + [
            Connector(SinkPipeline(name, entry, broker, settings), entry.config.shutdown_timeout_ms, backoff)
            for name, entry in config.enabled_sinks.items()
        ]

    @property
    def connectors(self) -> list[str]:
        """Names of the connectors."""
        return [connector.name for connector in self._connectors]

    @property
    def abandoned(self) -> bool:
        """Whether threads were left behind by `run`: the process can only be ended the hard way."""
        return any(connector.alive for connector in self._connectors)

    def named(self, name: str) -> list[Connector]:
        """The connectors of that name: none, one, or a source and a sink."""
        return [connector for connector in self._connectors if connector.name == name]

    def status(self) -> list[ConnectorStatus]:
        """How the connectors stand now. May be called from any thread."""
        return [connector.status() for connector in self._connectors]

    def collector(self) -> ConnectorCollector | None:
        """The counters of the connectors, for a registry; None without connectors."""
        # prometheus-client takes long to import, and most processes serve nothing.
        from rivven_kafka.metrics import ConnectorCollector

        collector: ConnectorCollector | None = None
        for connector in self._connectors:
            arguments = connector.name, connector.direction, connector.pipeline.metrics
            collector = collector.add(*arguments) if collector else ConnectorCollector(*arguments)
        return collector

    def run(self, stop: threading.Event) -> bool:
        """Runs until `stop` is set, which it leaves to the caller, or every connector has given up.

        After the stop a connector has its `shutdown_timeout_ms` to deliver and commit; then it is aborted,
        and a few seconds later left behind (`abandoned`).

        Returns:
            Whether every connector ended without an error.
        """
        for warning in self._warnings:
            log.warning("%s", warning)
        own = Turn(stop)
        for connector in self._connectors:
            connector.start(own)
        self._report_until_stop(own)
        # All have given up: one that was restarted since has to end with the process.
        own.set()
        self._await_end()
        return all(connector.error is None for connector in self._connectors)

    def _report_until_stop(self, stop: threading.Event) -> None:
        last = {id(connector): 0 for connector in self._connectors}
        due = time.monotonic() + _REPORT_EVERY_S
        while any(connector.alive for connector in self._connectors):
            # Short waits, so that signals are handled at once.
            if stop.wait(0.1):
                return
            if time.monotonic() < due:
                continue
            due += _REPORT_EVERY_S
            for connector in self._connectors:
                delivered = connector.pipeline.delivered()
                rate = (delivered - last[id(connector)]) / _REPORT_EVERY_S
                last[id(connector)] = delivered
                extra = {"connector": connector.name}
                log.info("delivered %d records, %.0f/s", delivered, rate, extra=extra)

    def _await_end(self) -> None:
        stopped = time.monotonic()
        for connector in self._connectors:
            connector.note_stop()
        aborted: set[int] = set()
        while waiting := [connector for connector in self._connectors if connector.alive]:
            for connector in waiting:
                over = time.monotonic() - stopped - connector.shutdown_timeout_s
                if over > _ABANDON_AFTER_S:
                    continue
                if over > _ABORT_AFTER_S and id(connector) not in aborted:
                    aborted.add(id(connector))
                    connector.abort()
                connector.join(0.05)
            longest = max(connector.shutdown_timeout_s for connector in waiting)
            if time.monotonic() - stopped > longest + _ABANDON_AFTER_S:
                break
        for connector in self._connectors:
            if connector.alive:
                connector.abandon()

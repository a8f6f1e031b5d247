"""Runs the connectors of a configuration side by side, each in a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass

from rivven_kafka.config import ConnectConfig
from rivven_kafka.errors import ConfigError, RivvenKafkaError
from rivven_kafka.pipeline import SinkPipeline, SourcePipeline

log = logging.getLogger(__name__)

_FIRST_RESTART_S = 1.0
_LAST_RESTART_S = 60.0
_HEALTHY_AFTER_S = 60.0
_REPORT_EVERY_S = 10.0


@dataclass
class _Connector:
    pipeline: SourcePipeline | SinkPipeline
    thread: threading.Thread | None = None
    error: BaseException | None = None


class Runner:
    """Runs connectors until they are told to stop; one that fails is restarted, the others go on.

    Args:
        config: The configuration; disabled connectors are left out.
    """

    def __init__(self, config: ConnectConfig) -> None:
        self._connectors = [
            _Connector(SourcePipeline(name, entry, config.broker, config.settings))
            for name, entry in config.enabled_sources.items()
        ] + [
            _Connector(SinkPipeline(name, entry, config.broker, config.settings))
            for name, entry in config.enabled_sinks.items()
        ]

    @property
    def connectors(self) -> list[str]:
        """Names of the connectors."""
        return [connector.pipeline.name for connector in self._connectors]

    def run(self, stop: threading.Event) -> bool:
        """Runs until `stop` is set or every connector has given up.

        Returns:
            Whether every connector ended without an error.
        """
        for connector in self._connectors:
            name = connector.pipeline.name
            thread = threading.Thread(target=self._supervise, args=(connector, stop), name=name)
            connector.thread = thread
            thread.start()
        self._report_until_done()
        return all(connector.error is None for connector in self._connectors)

    def _report_until_done(self) -> None:
        last = {id(connector): 0 for connector in self._connectors}
        due = time.monotonic() + _REPORT_EVERY_S
        while any(connector.thread and connector.thread.is_alive() for connector in self._connectors):
            # Short waits, so that signals are handled at once.
            for connector in self._connectors:
                if connector.thread:
                    connector.thread.join(0.1)
            if time.monotonic() < due:
                continue
            due += _REPORT_EVERY_S
            for connector in self._connectors:
                delivered = connector.pipeline.delivered()
                rate = (delivered - last[id(connector)]) / _REPORT_EVERY_S
                last[id(connector)] = delivered
                extra = {"connector": connector.pipeline.name}
                log.info("delivered %d records, %.0f/s", delivered, max(rate, 0.0), extra=extra)

    def _supervise(self, connector: _Connector, stop: threading.Event) -> None:
        pause = _FIRST_RESTART_S
        extra = {"connector": connector.pipeline.name}
        while True:
            started = time.monotonic()
            try:
                connector.pipeline.run(stop)
                connector.error = None
                return
            except ConfigError as error:
                connector.error = error
                log.error("gave up: %s", error, extra=extra)
                return
            except RivvenKafkaError as error:
                connector.error = error
                log.error("stopped: %s", error, extra=extra)
            except Exception as error:
                connector.error = error
                log.exception("stopped by an unexpected error", extra=extra)
            if stop.is_set():
                return
            if time.monotonic() - started > _HEALTHY_AFTER_S:
                pause = _FIRST_RESTART_S
            log.info("restart in %.0f s", pause, extra=extra)
            if stop.wait(pause):
                return
            pause = min(2 * pause, _LAST_RESTART_S)

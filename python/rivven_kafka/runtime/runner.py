"""Runs the connectors of a configuration side by side, each in a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING

from rivven_kafka.config import ConnectConfig, SourceEntry
from rivven_kafka.errors import ConfigError
from rivven_kafka.kafka.msk import require_aws
from rivven_kafka.pipeline import SinkPipeline, SourcePipeline
from rivven_kafka.pipeline.lag import Partition
from rivven_kafka.rivven.options import security_warnings
from rivven_kafka.runtime.backoff import RestartBackoff
from rivven_kafka.runtime.changes import Changes, Key, changes, entries
from rivven_kafka.runtime.connector import Connector, ConnectorStatus
from rivven_kafka.runtime.turn import Turn

if TYPE_CHECKING:
    from rivven_kafka.metrics import ConnectorCollector

log = logging.getLogger(__name__)

_REPORT_EVERY_S = 10.0
# After shutdown_timeout_ms: for the final commit, and then for what is left of calls to Kafka.
_ABORT_AFTER_S = 2.0
_ABANDON_AFTER_S = 6.0


@dataclass(frozen=True)
class _Slot:
    """A connector, and what ends it alone."""

    connector: Connector
    stop: Turn


class _Rates:
    """Logs how much connectors have delivered, and how fast since the last time."""

    def __init__(self, now_s: float) -> None:
        self._at_s = now_s
        self._last: dict[Key, int] = {}

    def log(self, slots: Mapping[Key, _Slot], now_s: float) -> None:
        """Logs a line for each of the connectors.

        Args:
            slots: The connectors. One that takes the place of another one has counted on from it.
            now_s: When that is (s), by the same clock as before.
        """
        passed_s, self._at_s = now_s - self._at_s, now_s
        last, self._last = self._last, {}
        for key, slot in slots.items():
            delivered = self._last[key] = slot.connector.pipeline.delivered()
            before = last.get(key, 0)
            # Less than before: it was taken out of the file and put back, and has begun at zero.
            rate = (delivered - before if delivered >= before else delivered) / passed_s
            extra = {"connector": slot.connector.name}
            log.info("delivered %d records, %.0f/s", delivered, rate, extra=extra)


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
        self._backoff = backoff or RestartBackoff()
        self._ends = until or {}
        self._config = config
        # Set by `run`; each connector has a turn within it.
        self._stop = threading.Event()
        self._reloads: SimpleQueue[ConnectConfig] = SimpleQueue()
        _require_aws(config)
        self._warnings = tuple(security_warnings(config.broker))
        # Connectors that a reload has told to end, and that are still there.
        self._late: set[Key] = set()
        # Replaced as a whole: other threads read it at any time.
        self._slots: dict[Key, _Slot] = {key: self._make(config, key) for key in entries(config)}

    def _make(self, config: ConnectConfig, key: Key, before: Connector | None = None) -> _Slot:
        """A connector of `config`; it counts on where the one `before` it has ended."""
        entry, name = entries(config)[key], key[1]
        pipeline: SourcePipeline | SinkPipeline
        if isinstance(entry, SourceEntry):
            ends = self._ends.get(name)
            pipeline = SourcePipeline(name, entry, config.broker, config.settings, until=ends)
        else:
            pipeline = SinkPipeline(name, entry, config.broker, config.settings)
        if before is not None:
            pipeline.succeed(before.pipeline)
        restarts = 0 if before is None else before.status().restarts
        connector = Connector(pipeline, entry.config.shutdown_timeout_ms, self._backoff, restarts)
        return _Slot(connector, Turn(self._stop))

    @property
    def _connectors(self) -> list[Connector]:
        return [slot.connector for slot in self._slots.values()]

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

    def reload(self, config: ConnectConfig) -> None:
        """Goes over to another configuration soon; may be called from any thread while `run` is at work.

        Connectors whose sections have changed end in order and begin anew, also all when `broker`,
        `settings.topic` or `settings.retry` has; the others go on. Those that have given up begin again.

        Raises:
            ConfigError: Nothing is enabled in it, or as for the constructor. Everything stays as it is.
        """
        if not entries(config):
            raise ConfigError("every connector is disabled: expected at least one enabled")
        _require_aws(config)
        self._reloads.put(config)

    def run(self, stop: threading.Event) -> bool:
        """Runs until `stop` is set, which it leaves to the caller, or every connector has given up.

        After the stop a connector has its `shutdown_timeout_ms` to deliver and commit; then it is aborted,
        and a few seconds later left behind (`abandoned`).

        Returns:
            Whether every connector ended without an error.
        """
        for warning in self._warnings:
            log.warning("%s", warning)
        for slot in self._slots.values():
            slot.connector.start(slot.stop)
        self._go_on(stop)
        # Also where all have given up: one that was restarted since has to end with the process.
        self._stop.set()
        _await_end(self._connectors)
        return all(connector.error is None for connector in self._connectors)

    def _go_on(self, stop: threading.Event) -> None:
        """Reports and reloads, until the stop, or there is nothing left that runs."""
        started = time.monotonic()
        rates, due = _Rates(started), started + _REPORT_EVERY_S
        while self._late or any(connector.alive for connector in self._connectors):
            # Short waits, so that signals are handled at once.
            if stop.wait(0.1):
                return
            self._replace_late()
            if not self._reloads.empty():
                self._go_over(self._reloads.get(), stop)
            now = time.monotonic()
            if now >= due:
                # A reload may have taken longer than that: no line is made up for.
                due = now + _REPORT_EVERY_S
                rates.log(self._slots, now)

    def _go_over(self, config: ConnectConfig, stop: threading.Event) -> None:
        found = changes(self._config, config)
        _tell(found)
        ending = [self._slots[key] for key in (*found.changed, *found.removed)]
        for slot in ending:
            slot.stop.set()
        _await_end([slot.connector for slot in ending], stop)
        if stop.is_set():
            return
        slots: dict[Key, _Slot] = {}
        for key in entries(config):
            before = self._slots.get(key)
            if before is not None and before.connector.alive:
                # Also one that does not end: a second one beside it would deliver the same.
                slots[key] = before
            elif before is not None and not before.stop.is_set() and before.connector.restart():
                slots[key] = before
            else:
                slots[key] = self._make(config, key, before.connector if before else None)
        alive = {key: slot for key, slot in self._slots.items() if slot.connector.alive}
        slots |= {key: slot for key, slot in alive.items() if key not in slots}
        self._late = {key for key in alive if slots[key] is alive[key] and slots[key].stop.is_set()}
        new = [slot for key, slot in slots.items() if self._slots.get(key) is not slot]
        self._config, self._slots = config, slots
        for slot in new:
            slot.connector.start(slot.stop)

    def _replace_late(self) -> None:
        """Those that did not end in time for a reload, and have ended now, make way for their successors."""
        for key in [key for key in self._late if not self._slots[key].connector.alive]:
            self._late.discard(key)
            slots = dict(self._slots)
            before = slots.pop(key)
            if key in entries(self._config):
                slots[key] = self._make(self._config, key, before.connector)
            self._slots = slots
            if key in slots:
                slots[key].connector.start(slots[key].stop)


def _require_aws(config: ConnectConfig) -> None:
    for entry in entries(config).values():
        require_aws(entry.config.security)


def _tell(found: Changes) -> None:
    for word in ("kept", "changed", "added", "removed"):
        names = [name for _, name in getattr(found, word)]
        if names:
            log.info("reload: %s %s", word, ", ".join(names))
    for setting in found.ignored:
        log.warning("reload: %s is as it was: it matters only when the process starts", setting)


def _await_end(connectors: list[Connector], stop: threading.Event | None = None) -> None:
    """Waits for connectors that were told to end; aborts, and in the end abandons, those that do not.

    Args:
        connectors: The connectors.
        stop: Waits no longer once it is set: then everything ends.
    """
    stopped = time.monotonic()
    for connector in connectors:
        connector.note_stop()
    aborted: set[int] = set()
    while waiting := [connector for connector in connectors if connector.alive]:
        if stop is not None and stop.is_set():
            return
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
    for connector in connectors:
        if connector.alive:
            connector.abandon()

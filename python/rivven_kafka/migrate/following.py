"""The live link after a migration: the sources run on, and it is told when they keep up."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from rivven_kafka.config import ConnectConfig
from rivven_kafka.errors import RivvenKafkaError
from rivven_kafka.migrate.catching_up import CatchingUp
from rivven_kafka.migrate.copying import only_sources
from rivven_kafka.migrate.display import Display
from rivven_kafka.migrate.report import Report, moment
from rivven_kafka.runtime import ConnectorStatus, Runner, serve

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.5
_RATE_EVERY_S = 5.0


class Following:
    """Runs sources like `run` does.

    Args:
        config: The configuration; its other connectors are left out.
        reports: The migrations before, by the names of the sources.
        save: Stores the report of a source.
        display: Shows how far they are behind.
    """

    def __init__(
        self,
        config: ConnectConfig,
        reports: Mapping[str, Report],
        save: Callable[[Report], None],
        display: Display,
    ) -> None:
        self._config = only_sources(config, {name: config.sources[name] for name in reports})
        self._reports = reports
        self._save = save
        self._display = display
        self._states = {name: CatchingUp() for name in reports}
        self._rates = {name: (time.monotonic(), 0, 0.0) for name in reports}

    def run(self, stop: threading.Event) -> tuple[Runner, bool]:
        """Copies until `stop` is set, or every source has given up.

        Returns:
            What has run, for the threads that it may have left behind, and whether all ended well.
        """
        runner = Runner(self._config)
        over = threading.Event()
        watch = threading.Thread(target=self._watch, args=(runner, over), name="progress", daemon=True)
        with serve(self._config.settings, runner) as urls:
            for url in urls:
                log.info("listening on %s", url)
            log.info("live link: following %s", ", ".join(self._reports))
            watch.start()
            try:
                ended_well = runner.run(stop)
            finally:
                over.set()
                watch.join()
        return runner, ended_well

    def _watch(self, runner: Runner, over: threading.Event) -> None:
        with self._display.beside_log():
            while not over.wait(_LOOK_EVERY_S):
                statuses = runner.status()
                for status in statuses:
                    self._look(status)
                self._display.draw([self._line(status) for status in statuses])

    def _look(self, status: ConnectorStatus) -> None:
        now_s, state = time.monotonic(), self._states[status.name]
        changed = state.look(now_s, status.lag, answered=status.answered)
        if changed is None:
            return
        behind = sum(each.records or 0 for each in status.lag)
        extra = {"connector": status.name}
        self._display.event("caught_up" if changed else "fell_behind", source=status.name, lag=behind)
        if not changed:
            log.warning("fell behind: %d offsets are to be copied", behind, extra=extra)
            return
        held = datetime.now(UTC) - timedelta(seconds=now_s - (state.held_s or 0.0))
        report = self._reports[status.name]
        report.caught_up = moment(held)
        log.info("caught up: Rivven holds what Kafka held at %s", report.caught_up, extra=extra)
        try:
            self._save(report)
        except RivvenKafkaError as error:
            log.warning("%s", error, extra=extra)

    def _line(self, status: ConnectorStatus) -> str:
        now_s = time.monotonic()
        since_s, before, rate = self._rates[status.name]
        if now_s - since_s >= _RATE_EVERY_S:
            rate = (status.events_processed - before) / (now_s - since_s)
            self._rates[status.name] = now_s, status.events_processed, rate
        behind = sum(each.records or 0 for each in status.lag)
        state = self._states[status.name].caught_up
        word = "catching up" if state is None else "caught up" if state else "behind"
        return (
            f"{status.name}  {word}, {status.state}  {behind:,} offsets behind  {rate:,.0f} records/s  "
            f"{status.events_processed:,} since the copy"
        )

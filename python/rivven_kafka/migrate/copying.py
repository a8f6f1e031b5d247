"""The copy itself: the sources run up to their snapshots, watched from beside."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping

from rivven_kafka.config import ConnectConfig, SourceEntry
from rivven_kafka.migrate.display import Display
from rivven_kafka.migrate.patience import Patience, Restarts
from rivven_kafka.migrate.progress import Progress
from rivven_kafka.migrate.report import Outcome, Report
from rivven_kafka.pipeline import SourcePipeline
from rivven_kafka.runtime import Runner, serve
from rivven_kafka.runtime.turn import Turn

log = logging.getLogger(__name__)

_DRAW_EVERY_S = 0.5
_REPORT_EVERY_S = 5.0


class Copying:
    """Runs sources up to the snapshots of their reports.

    Args:
        config: The configuration; its other connectors are left out.
        reports: What to copy, by the names of the sources; kept up to date.
        save: Stores the report of a source.
        display: Shows the progress.
        patience: When a source that fails is given up.
    """

    def __init__(
        self,
        config: ConnectConfig,
        reports: Mapping[str, Report],
        save: Callable[[Report], None],
        display: Display,
        patience: Patience,
    ) -> None:
        self._config = only_sources(
            config, {name: pinned(config.sources[name], report) for name, report in reports.items()}
        )
        self._reports = reports
        self._save = save
        self._display = display
        self._patience = patience
        self._gave_up: dict[str, str] = {}
        self._progress = {name: Progress(report) for name, report in reports.items()}
        # Where a group that has committed nothing was to begin.
        self._begins = {
            name: {(topic.topic, each.partition): each.position for topic, each in report.partitions()}
            for name, report in reports.items()
        }

    def run(self, stop: threading.Event) -> Runner:
        """Copies until everything is there, `stop` is set, or a source is given up; notes the outcomes.

        Returns:
            What has run, for the threads that it may have left behind.
        """
        runner = Runner(self._config, until={name: each.ends for name, each in self._reports.items()})
        own, over = Turn(stop), threading.Event()
        before_s = {name: report.copy_seconds for name, report in self._reports.items()}
        began = time.monotonic()

        def note_time() -> None:
            for name, report in self._reports.items():
                report.copy_seconds = round(before_s[name] + time.monotonic() - began, 3)

        watch = threading.Thread(
            target=self._watch, args=(runner, own, over, note_time), name="progress", daemon=True
        )
        with serve(self._config.settings, runner) as urls:
            for url in urls:
                log.info("listening on %s", url)
            watch.start()
            try:
                runner.run(own)
            finally:
                over.set()
                watch.join()
        note_time()
        self._look(runner)
        for name, report in self._reports.items():
            report.settle(*self._outcome(runner, name))
            self._display.event("progress", **self._progress[name].to_dict())
            self._display.event("copy", source=name, outcome=str(report.outcome), error=report.error)
        return runner

    def _outcome(self, runner: Runner, name: str) -> tuple[Outcome, str | None]:
        pipeline, error = _pipeline(runner, name), runner.named(name)[0].error
        if pipeline.complete and error is None:
            return Outcome.COPIED, None
        if name in self._gave_up:
            return Outcome.FAILED, self._gave_up[name]
        if error is not None:
            return Outcome.FAILED, str(error) or type(error).__name__
        return Outcome.INTERRUPTED, None

    def _watch(self, runner: Runner, own: Turn, over: threading.Event, note_time: Callable[[], None]) -> None:
        restarts = {name: Restarts(self._patience) for name in self._reports}
        next_report = 0.0
        with self._display.beside_log():
            while not over.wait(_DRAW_EVERY_S):
                self._look(runner)
                self._draw()
                now = time.monotonic()
                self._judge(runner, restarts, now, own)
                if now < next_report:
                    continue
                next_report = now + _REPORT_EVERY_S
                note_time()
                for name, report in self._reports.items():
                    self._display.event("progress", **self._progress[name].to_dict())
                    self._save_quietly(report)

    def _look(self, runner: Runner) -> None:
        now = time.monotonic()
        for name, progress in self._progress.items():
            pipeline = _pipeline(runner, name)
            positions = {
                (each.topic, each.partition): each.position
                for each in pipeline.watchdog.lag
                if each.position is not None
            }
            progress.update(now, positions, dict(pipeline.copied))
            if self._note_losses(name, pipeline):
                # At once: only the report knows of it when the process is killed.
                self._save_quietly(progress.report)

    def _note_losses(self, name: str, pipeline: SourcePipeline) -> bool:
        report, begins = self._reports[name], self._begins[name]
        before = report.lost
        partitions = {(topic.topic, each.partition): each for topic, each in report.partitions()}
        for jump in list(pipeline.jumps):
            place = jump.topic, jump.partition
            if place in partitions:
                partitions[place].lose(begins[place] if jump.first is None else jump.first, jump.until)
        return report.lost > before

    def _draw(self) -> None:
        most = max(self._display.height // len(self._progress), 2)
        self._display.draw([line for each in self._progress.values() for line in each.lines(most)])

    def _judge(self, runner: Runner, restarts: Mapping[str, Restarts], now: float, own: Turn) -> None:
        for status in runner.status():
            if restarts[status.name].is_over(
                now, self._reports[status.name].done + status.events_processed, status.restarts
            ):
                why = f"gave up after {status.restarts} restarts without progress: {status.last_error}"
                self._gave_up.setdefault(status.name, why)
                log.error("%s", why, extra={"connector": status.name})
                own.set()

    def _save_quietly(self, report: Report) -> None:
        """A full disk must not end a copy that goes on well; what is committed is the truth anyway."""
        try:
            self._save(report)
        except Exception as error:
            log.warning("%s", error, extra={"connector": report.source})


def only_sources(config: ConnectConfig, sources: Mapping[str, SourceEntry]) -> ConnectConfig:
    """The configuration with these connectors alone, which were asked for: enabled, whatever it says."""
    enabled = {name: entry.model_copy(update={"enabled": True}) for name, entry in sources.items()}
    return config.model_copy(update={"sources": enabled, "sinks": {}})


def pinned(entry: SourceEntry, report: Report) -> SourceEntry:
    """The source with the topics of the snapshot by name: those that appear later are not part of it."""
    names = tuple(topic.topic for topic in report.topics)
    chosen = {"topic": None, "topics": names, "topics_regex": None, "topics_exclude": ()}
    return entry.model_copy(update={"config": entry.config.model_copy(update=chosen)})


def _pipeline(runner: Runner, name: str) -> SourcePipeline:
    pipeline = runner.named(name)[0].pipeline
    assert isinstance(pipeline, SourcePipeline)
    return pipeline

"""A migration from beginning to end: snapshot, copy, verification, report, live link."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from rivven_kafka.config import ConnectConfig, DeliveryGuarantee, SourceEntry, StartOffset
from rivven_kafka.errors import ConfigError, RivvenKafkaError
from rivven_kafka.kafka import admin_options
from rivven_kafka.kafka.group_state import member_count
from rivven_kafka.migrate.before import note_before
from rivven_kafka.migrate.copying import Copying, pinned
from rivven_kafka.migrate.display import Display
from rivven_kafka.migrate.files import ReportFiles
from rivven_kafka.migrate.following import Following
from rivven_kafka.migrate.patience import Patience
from rivven_kafka.migrate.report import Outcome, Report
from rivven_kafka.migrate.resume import resume
from rivven_kafka.migrate.snapshot import take_snapshot
from rivven_kafka.pipeline.destination import by_destination
from rivven_kafka.reading.comparable import require_events, require_pairs, require_positions
from rivven_kafka.runtime import Runner

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.5
_GRACE_S = 5.0
"""After a session has ended, until Kafka's group has noticed."""


@dataclass(frozen=True)
class Options:
    """What is asked of a migration.

    Attributes:
        report: Where reports go, see `ReportFiles.of`.
        restart: Whether to forget earlier reports, and take new snapshots.
        verify: Whether to compare both sides after the copy.
        follow: Whether to go on as a live link.
        patience: When a source that fails is given up.
    """

    report: str | None = None
    restart: bool = False
    verify: bool = True
    follow: bool = False
    patience: Patience = field(default_factory=Patience)


class Migration:
    """Moves the topics of sources from Kafka to Rivven.

    Args:
        config: The configuration.
        names: The sources to migrate, which are in it.
        options: What is asked for.
        display: Shows the progress.

    Attributes:
        reports: What was done, by the names of the sources.

    Raises:
        ConfigError: The options of a source do not allow it.
    """

    def __init__(self, config: ConnectConfig, names: list[str], options: Options, display: Display) -> None:
        self._config = config
        self._sources: dict[str, SourceEntry] = {name: config.sources[name] for name in names}
        self._options = options
        self._display = display
        self._files = {name: ReportFiles.of(options.report, name, alone=len(names) == 1) for name in names}
        self._left: list[Runner] = []
        self._verifying = False
        self.reports: dict[str, Report] = {}
        for name, entry in self._sources.items():
            _require_beginning(name, entry)

    @property
    def abandoned(self) -> bool:
        """Whether threads were left behind: the process can only be ended the hard way."""
        return self._verifying or any(runner.abandoned for runner in self._left)

    def page(self, name: str) -> str:
        """Where the page of a source is."""
        return str(self._files[name].page)

    def run(self, stop: threading.Event) -> bool:
        """Does all that is asked for; ends early, in order, when `stop` is set.

        Returns:
            False if the live link has ended by an error. All else stands in `reports`.

        Raises:
            ConfigError: A report is of another migration.
            RivvenKafkaError: A broker cannot be reached, or a group is in use, before anything was copied.
        """
        found = {
            name: take_snapshot(name, entry, self._config.broker) for name, entry in self._sources.items()
        }
        earlier = {
            name: None if self._options.restart else self._files[name].load() for name in self._sources
        }
        for name, now in found.items():
            before = earlier[name]
            by_pattern = self._sources[name].config.topics_regex is not None
            path = self._files[name].json
            if before is None:
                self.reports[name] = now
                continue
            stored = before.outcome
            self.reports[name] = resume(before, now, path, by_pattern=by_pattern)
            if before.outcome is not stored:
                self._files[name].save(before, with_page=True)
        for name, report in self.reports.items():
            if self._options.verify:
                _require_comparable(name, self._sources[name], report)
            if earlier[name] is None:
                note_before(report, self._sources[name], self._config.broker, self._config.settings)
        to_copy = {name: each for name, each in self.reports.items() if not each.outcome.is_copied}
        killed = {name for name, each in to_copy.items() if earlier[name] and each.outcome is Outcome.RUNNING}
        for name in to_copy:
            if not self._await_quiet(name, stop, patient=name in killed):
                return True
        if to_copy:
            self._copy(to_copy, earlier, stop)
        if self._options.verify and not stop.is_set():
            for name, report in self.reports.items():
                if report.outcome.is_copied and report.outcome is not Outcome.VERIFIED and not stop.is_set():
                    self._verify(name, report, stop)
        followed = {name: each for name, each in self.reports.items() if self._is_good(each)}
        if not self._options.follow or stop.is_set() or len(followed) < len(self.reports):
            return True
        following = Following(self._config, followed, self._save, self._display)
        runner, ended_well = following.run(stop)
        self._left.append(runner)
        return ended_well

    def _is_good(self, report: Report) -> bool:
        return report.outcome is Outcome.VERIFIED or (
            report.outcome is Outcome.COPIED and not self._options.verify
        )

    def _copy(
        self, reports: Mapping[str, Report], earlier: Mapping[str, Report | None], stop: threading.Event
    ) -> None:
        for name, report in reports.items():
            extra = {"connector": name}
            report.processes += 1
            report.settle(Outcome.RUNNING)
            if earlier[name] is None:
                report.notes += _notes(self._sources[name])
                log.info(
                    "snapshot: %d topics, %d partitions, %d offsets to copy",
                    len(report.topics),
                    len(report.ends),
                    report.total,
                    extra=extra,
                )
            else:
                log.info(
                    "goes on with the snapshot of %s: %d of %d offsets are copied",
                    report.snapshot,
                    report.done,
                    report.total,
                    extra=extra,
                )
            self._files[name].save(report, with_page=True)
        copying = Copying(self._config, reports, self._save, self._display, self._options.patience)
        self._left.append(copying.run(stop))
        for name, report in reports.items():
            self._files[name].save(report, with_page=True)
            if report.outcome.is_copied:
                log.info(
                    "copied %d records in %.1f s",
                    report.records,
                    report.copy_seconds,
                    extra={"connector": name},
                )
            for loss in report.losses:
                log.error("%s", loss, extra={"connector": name})

    def _save(self, report: Report) -> None:
        self._files[report.source].save(report, with_page=False)

    def _verify(self, name: str, report: Report, stop: threading.Event) -> None:
        """Compares both sides; notes nothing when it is told to stop meanwhile."""
        from rivven_kafka.verify import VerifyReport, verify_source

        log.info("verifying", extra={"connector": name})
        entry, began = pinned(self._sources[name], report), time.monotonic()
        found: list[VerifyReport] = []
        failed: list[BaseException] = []
        last_s = [0.0]

        def show(text: str) -> None:
            self._display.draw([f"{name}: {text}"])
            if time.monotonic() - last_s[0] >= 5.0:
                last_s[0] = time.monotonic()
                self._display.event("verifying", source=name, text=text)

        def work() -> None:
            try:
                found.append(
                    verify_source(
                        name,
                        entry,
                        self._config.broker,
                        self._config.settings,
                        ends=report.ends,
                        only=report.ends,
                        due={
                            (topic.topic, each.partition): each.start for topic, each in report.partitions()
                        },
                        progress=show,
                    )
                )
            except BaseException as error:
                failed.append(error)

        # A daemon: it cannot be told to stop.
        thread = threading.Thread(target=work, name=f"{name}-verify", daemon=True)
        with self._display.beside_log():
            thread.start()
            while thread.is_alive() and not stop.is_set():
                thread.join(0.1)
        if thread.is_alive():
            self._verifying = True
            log.info("stopped while verifying; started again, it does that anew", extra={"connector": name})
            return
        report.verify_seconds = round(time.monotonic() - began, 3)
        if failed:
            error = failed[0]
            if not isinstance(error, RivvenKafkaError):
                raise error
            report.settle(Outcome.FAILED, f"cannot verify: {error}")
            log.error("cannot verify: %s", error, extra={"connector": name})
        else:
            report.verification = found[0].to_dict(values=False)
            report.settle(Outcome.VERIFIED if found[0].equal else Outcome.DIFFERENT)
            level = logging.INFO if report.outcome is Outcome.VERIFIED else logging.ERROR
            log.log(level, "%s", report.outcome, extra={"connector": name})
        self._display.event("verification", source=name, outcome=str(report.outcome), error=report.error)
        self._files[name].save(report, with_page=True)

    def _await_quiet(self, name: str, stop: threading.Event, *, patient: bool) -> bool:
        """Makes sure that nobody else reads in the group: each of the partitions is needed here.

        Args:
            name: Name of the source.
            stop: Ends the wait.
            patient: Whether the members may be those of a process that was killed.

        Returns:
            False if `stop` was set meanwhile.

        Raises:
            RivvenKafkaError: The group is in use.
        """
        config = self._sources[name].config
        admin = admin_options(config, name)
        deadline = time.monotonic() + (config.session_timeout_ms / 1000 + _GRACE_S if patient else 0)
        told = False
        while members := member_count(admin, config.consumer_group):
            left = deadline - time.monotonic()
            if left <= 0:
                raise RivvenKafkaError(
                    f"Kafka group {config.consumer_group!r} of source {name!r} has {members} active members: "
                    f"stop them, or use another group: a migration needs all partitions for itself"
                )
            if not told:
                told = True
                log.info(
                    "waits for the session of a process that was killed, at most %.0f s",
                    left,
                    extra={"connector": name},
                )
            if stop.wait(_LOOK_EVERY_S):
                return False
        return True


def _require_beginning(name: str, entry: SourceEntry) -> None:
    if entry.config.start_offset is not StartOffset.EARLIEST:
        raise ConfigError(
            f"sources.{name}.config.start_offset: got {entry.config.start_offset}: expected earliest: a "
            f"migration copies what Kafka holds"
        )


def _require_comparable(name: str, entry: SourceEntry, report: Report) -> None:
    """Finds out before a long copy, and not after it, whether both sides can be compared.

    Raises:
        ConfigError: They cannot.
    """
    groups = by_destination(entry, {topic.topic: len(topic.partitions) for topic in report.topics})
    try:
        require_positions(name, entry)
        require_events(name, entry)
        require_pairs(name, entry, groups)
    except ConfigError as error:
        raise ConfigError(f"{error}; --no-verify copies all the same") from None


def _notes(entry: SourceEntry) -> list[str]:
    if entry.config.delivery_guarantee is DeliveryGuarantee.EXACTLY_ONCE:
        return []
    note = "delivery_guarantee is at_least_once: if a process was killed, some records may be in Rivven twice"
    log.warning("%s", note)
    return [note]

"""`rivven-kafka migrate`: moves whole topics from Kafka to Rivven, up to where they end when it starts."""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
import threading
from typing import TYPE_CHECKING, Any

from rivven_kafka.cli import exit_codes, logs
from rivven_kafka.cli.file import load_with_warnings, source_named
from rivven_kafka.cli.output import print_json, print_line, print_table
from rivven_kafka.errors import ConfigError, ConfigProblem

if TYPE_CHECKING:
    from rivven_kafka.config import ConnectConfig
    from rivven_kafka.migrate import Migration, Report

_QUICK = "kafka"
"""The name of the source that the options describe."""

_GROUP = "rivven-kafka-migrate"
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_FLAGS = {
    f"sources.{_QUICK}.config.brokers": "--brokers",
    f"sources.{_QUICK}.config.topics_regex": "--topics",
    f"sources.{_QUICK}.config.topics": "--topics",
    f"sources.{_QUICK}.config.topic": "--topics",
    f"sources.{_QUICK}.config.consumer_group": "--group",
    f"sources.{_QUICK}.topic": "--to",
    "broker.bootstrap_servers": "--rivven",
}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command's arguments."""
    parser = subparsers.add_parser(
        "migrate",
        help="copy topics from Kafka to Rivven up to a snapshot, and verify them",
        description="Read where the Kafka partitions end, copy everything before that, compare both sides, "
        "and write a report (JSON and a page). Started again after an interruption, it goes on to the same "
        "ends. "
        "Takes the sources of the configuration file, or --brokers, --rivven and --topics instead of a file.",
        epilog="Example: rivven-kafka migrate --brokers kafka1:9092 --rivven rivven1:9092 "
        "--topics 'orders,pay.*' --to 'mirror.{topic}'",
    )
    parser.add_argument(
        "--source",
        action="append",
        metavar="NAME",
        help="name of a source in the configuration file; may be given several times (all enabled ones)",
    )
    parser.add_argument("--brokers", metavar="HOST:PORT,...", help="addresses of Kafka, instead of a file")
    parser.add_argument("--rivven", metavar="HOST:PORT,...", help="addresses of Rivven, instead of a file")
    parser.add_argument(
        "--topics",
        metavar="NAMES",
        help="names of Kafka topics with commas between them; regular expressions for whole names too",
    )
    parser.add_argument(
        "--to", metavar="TEMPLATE", help="Rivven topic; {topic} stands for the Kafka topic ({topic})"
    )
    parser.add_argument("--group", metavar="NAME", help=f"Kafka consumer group ({_GROUP})")
    parser.add_argument(
        "--report",
        metavar="FILE",
        help="the report: a file that ends in .json, or a directory (migration-NAME.json here)",
    )
    parser.add_argument(
        "--restart", action="store_true", help="forget an earlier report, and take a new snapshot"
    )
    parser.add_argument("--no-verify", action="store_true", help="do not compare both sides")
    parser.add_argument("--follow", action="store_true", help="go on as a live link after the copy")
    parser.add_argument("--format", choices=("table", "json"), default="table", help="form of the results")
    return parser


def run(args: argparse.Namespace) -> int:
    """Migrate, and say how it went.

    Raises:
        ConfigError: The file, the options or the report are wrong.
        RivvenKafkaError: A broker cannot be reached, or a group is in use, before anything was copied.
    """
    config, names = _configuration(args)
    # The Kafka client takes a third of a second to import: not for commands that only read the file.
    from rivven_kafka.migrate import Migration
    from rivven_kafka.migrate.display import Display
    from rivven_kafka.migrate.migration import Options
    from rivven_kafka.runtime import keep_less_memory, stop_on_signals

    keep_less_memory()
    stop = threading.Event()
    options = Options(report=args.report, restart=args.restart, verify=not args.no_verify, follow=args.follow)
    migration = Migration(config, names, options, Display())
    with stop_on_signals(stop):
        ended_well = migration.run(stop)
    code = _exit_code(migration, args, stopped=stop.is_set(), ended_well=ended_well)
    if args.format == "json":
        print_json([report.to_dict(_version()) for report in migration.reports.values()])
    else:
        _print(migration)
    if migration.abandoned:
        # Its threads are in calls that do not end; the interpreter would wait for some of them.
        sys.stdout.flush()
        logging.shutdown()
        os._exit(code)
    return code


def _configuration(args: argparse.Namespace) -> tuple[ConnectConfig, list[str]]:
    quick = {"--brokers": args.brokers, "--rivven": args.rivven, "--topics": args.topics}
    given = [flag for flag, value in {**quick, "--to": args.to, "--group": args.group}.items() if value]
    if given:
        if args.source:
            raise ConfigError(f"--source: given together with {given[0]}: expected one of them")
        missing = [flag for flag, value in quick.items() if not value]
        if missing:
            raise ConfigError(
                f"{missing[0]}: missing: expected with {given[0]}, which takes the place of a file"
            )
        return _quick_configuration(args), [_QUICK]
    config = load_with_warnings(
        args.config, lambda loaded: logs.set_level(loaded.settings.log_level, verbose=args.verbose)
    )
    names = list(dict.fromkeys(args.source or config.enabled_sources))
    for name in names:
        source_named(config, args.config, name)
    if not names:
        raise ConfigError(f"{args.config}: sources: expected at least one that is enabled")
    return config, names


def _quick_configuration(args: argparse.Namespace) -> ConnectConfig:
    from rivven_kafka.config import parse_connect

    topics: dict[str, Any] = {}
    items = [each.strip() for each in args.topics.split(",") if each.strip()]
    if all(_NAME.fullmatch(each) for each in items):
        topics["topics"] = items
    else:
        topics["topics_regex"] = "|".join(
            re.escape(each) if _NAME.fullmatch(each) else f"(?:{each})" for each in items
        )
    source = {
        "connector": "kafka",
        "topic": args.to or "{topic}",
        "config": {
            "brokers": args.brokers,
            **topics,
            "consumer_group": args.group or _GROUP,
            "isolation_level": "read_committed",
            "delivery_guarantee": "exactly_once",
        },
    }
    document = {"version": "1.0", "broker": {"bootstrap_servers": args.rivven}, "sources": {_QUICK: source}}
    try:
        return parse_connect(document, "")
    except ConfigError as error:
        problems = [ConfigProblem("", None, _flag(each.option), each.problem) for each in error.problems]
        raise ConfigError("\n".join(map(str, problems)), problems=problems) from None


def _flag(option: str) -> str:
    """The option of the command line for one of the file."""
    return _FLAGS.get(re.sub(r"\[\d+\]$", "", option), option)


def _exit_code(migration: Migration, args: argparse.Namespace, *, stopped: bool, ended_well: bool) -> int:
    from rivven_kafka.migrate import Outcome

    outcomes = [report.outcome for report in migration.reports.values()]
    if Outcome.FAILED in outcomes:
        return exit_codes.FAILURE
    if Outcome.DIFFERENT in outcomes or Outcome.INCOMPLETE in outcomes:
        return exit_codes.DIFFERENCES
    wanted = (Outcome.VERIFIED, Outcome.COPIED) if args.no_verify else (Outcome.VERIFIED,)
    if any(outcome not in wanted for outcome in outcomes):
        return exit_codes.INTERRUPTED if stopped else exit_codes.FAILURE
    return exit_codes.OK if ended_well else exit_codes.FAILURE


def _version() -> str:
    import rivven_kafka

    return rivven_kafka.__version__


def _print(migration: Migration) -> None:
    from rivven_kafka.migrate.progress import duration

    for name, report in migration.reports.items():
        head = ("TOPIC", "RIVVEN TOPIC", "PARTITIONS", "RECORDS", "MB", "COPIED")
        rows = [
            (
                topic.topic,
                topic.destination,
                str(len(topic.partitions)),
                str(topic.records),
                f"{topic.size_bytes / 1e6:.1f}",
                f"{int(topic.done / topic.total * 1000) / 10 if topic.total else 100:.1f} %",
            )
            for topic in report.topics
        ]
        print_table([head, *rows], right=range(2, len(head)))
        _print_differences(report)
        for note in [*report.losses, *report.notes]:
            print_line(f"note: {note}")
        lost = sum(bool(topic.configs) for topic in report.topics)
        if lost:
            print_line(f"note: topics with options that Rivven does not have: {lost}; the page lists them")
        error = f": {report.error}" if report.error else ""
        print_line(f"{name}: {report.outcome}{error}, copied in {duration(report.copy_seconds)}")
        print_line(f"report: {migration.page(name)}")


def _print_differences(report: Report) -> None:
    found = report.verification or {}
    for each in found.get("partitions", ()):
        if not each.get("equal"):
            first = each.get("first_difference") or {}
            counts = f"{each['records_kafka']} records in Kafka, {each['records_rivven']} in Rivven"
            text = first.get("text", "unknown")
            print_line(f"different in {each['topic']}:{each['partition']}: {counts}; first: {text}")
    for what in ("unreadable", "beyond_end"):
        for span in found.get(what, ()):
            place = f"{span['topic']}:{span['partition']}"
            print_line(f"{what.replace('_', ' ')} in Rivven {place}: {span['first']}-{span['last']}")
    for note in found.get("notes", ()):
        print_line(f"note: {note}")

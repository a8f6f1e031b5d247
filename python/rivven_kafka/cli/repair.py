"""`rivven-kafka repair`: finds, and publishes, what the Rivven topics of a source lack."""

from __future__ import annotations

import argparse
import logging
from typing import TYPE_CHECKING

from rivven_kafka.cli import exit_codes
from rivven_kafka.cli.file import load_to_connect, source_named
from rivven_kafka.cli.output import print_json, print_line, print_table
from rivven_kafka.cli.progress import Progress

if TYPE_CHECKING:
    from rivven_kafka.repair import Report

_COUNTS = (
    "records",
    "present",
    "missing",
    "doubled",
    "left_out",
    "bad",
    "before_start",
    "undecided",
    "not_copied",
)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command's arguments."""
    parser = subparsers.add_parser(
        "repair",
        help="find and publish what Rivven lacks of a source's Kafka topics",
        description="Compare the Kafka topics of a source with the Rivven topics it has filled. Without "
        "--apply nothing is written anywhere, and the exit code is 3 when records are missing. Committed "
        "offsets are never changed.",
        epilog="Example: rivven-kafka -c connect.yaml repair --source orders",
    )
    parser.add_argument(
        "--source", required=True, metavar="NAME", help="name of the source in the configuration file"
    )
    parser.add_argument(
        "--apply", action="store_true", help="publish what is missing; the source has to be stopped"
    )
    parser.add_argument("--format", choices=("table", "json"), default="table", help="form of the results")
    return parser


def run(args: argparse.Namespace) -> int:
    """Compare, and repair when asked to.

    Raises:
        ConfigError: The file is wrong, has no such source, or its options do not allow the comparison.
        RivvenKafkaError: A broker cannot be reached, the source is running, or the repair is not complete.
    """
    config = load_to_connect(args.config)
    entry = source_named(config, args.config, args.source)
    if not args.verbose:
        logging.getLogger("kafka").setLevel(logging.ERROR)
    # Imported here for the sake of commands that only read the file, see `run`.
    from rivven_kafka.repair import repair_source

    progress = Progress()
    try:
        report = repair_source(
            args.source, entry, config.broker, config.settings, apply=args.apply, progress=progress.show
        )
    finally:
        progress.end()
    if args.format == "json":
        print_json(report.to_dict())
    else:
        _print(report)
    left = report.undecided or (report.missing and report.published is None)
    return exit_codes.DIFFERENCES if left else exit_codes.OK


def _print(report: Report) -> None:
    columns = [name for name in _COUNTS if name in ("records", "present", "missing", "doubled")]
    # The others matter only where there are any.
    columns += [
        name for name in _COUNTS[len(columns) :] if any(getattr(one, name) for one in report.partitions)
    ]
    rows = [("TOPIC", "PARTITION", *(name.upper().replace("_", " ") for name in columns))]
    rows += [
        (one.topic, str(one.partition), *(str(getattr(one, name)) for name in columns))
        for one in report.partitions
    ]
    print_table(rows, right=range(1, len(rows[0])))
    for one in report.partitions:
        if one.missing_ranges:
            listed = ", ".join(
                f"{first}" if first == last else f"{first}-{last}" for first, last in one.missing_ranges
            )
            more = f" and {one.more_ranges} more ranges" if one.more_ranges else ""
            print_line(f"missing in {one.topic}:{one.partition}: {listed}{more}")
    for span in report.unreadable:
        print_line(f"unreadable in Rivven {span.topic}:{span.partition}: {span.first}-{span.last}")
    for span in report.beyond_end:
        print_line(f"behind the end of Rivven {span.topic}:{span.partition}: a record at {span.first}")
    for topic, count in report.foreign.items():
        if count:
            print_line(f"in Rivven {topic}: {count} records that come from none of these")
    for note in report.notes:
        print_line(f"note: {note}")
    if report.published is not None:
        print_line(f"published {report.published} records")

"""`rivven-kafka groups`: takes the positions of Kafka consumer groups over to Rivven."""

from __future__ import annotations

import argparse
import logging
from typing import TYPE_CHECKING

from rivven_kafka.cli import exit_codes
from rivven_kafka.cli.file import load_connect_file
from rivven_kafka.cli.output import print_json, print_line, print_table
from rivven_kafka.cli.progress import Progress
from rivven_kafka.errors import ConfigError

if TYPE_CHECKING:
    from rivven_kafka.offsets import GroupPosition, Migration

_HEAD = ("GROUP", "KAFKA", "RIVVEN", "NOW", "NEW", "POSITION", "STATUS")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command's arguments."""
    parser = subparsers.add_parser(
        "groups",
        help="take the positions of Kafka consumer groups over to Rivven",
        description="Translate what consumer groups have committed in the Kafka topics of a source, and "
        "commit it in Rivven with --apply. No position is ever set back, nothing is changed in Kafka, and it "
        "can be repeated at any time. Exit code 3 when some positions are still to be moved.",
        epilog="Example: rivven-kafka -c connect.yaml groups migrate --source orders --all",
    )
    parser.add_argument("action", choices=("migrate",), help="what to do")
    parser.add_argument(
        "--source", required=True, metavar="NAME", help="name of the source in the configuration file"
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--group", action="append", metavar="GROUP", help="a Kafka group; may be repeated")
    which.add_argument(
        "--all", action="store_true", help="all groups with committed offsets in the topics of the source"
    )
    parser.add_argument("--apply", action="store_true", help="commit in Rivven")
    parser.add_argument(
        "--to-group",
        default="{group}",
        metavar="TEMPLATE",
        help="name of the group in Rivven; {group} stands for that in Kafka ({group})",
    )
    parser.add_argument(
        "--allow-active", action="store_true", help="also groups that have members in Kafka and read on"
    )
    parser.add_argument(
        "--partial",
        action="store_true",
        help="also where Rivven lacks records: a group that is ahead of the copy reads some again, and one "
        "whose records were never copied does without them",
    )
    parser.add_argument(
        "--scan", action="store_true", help="read all of each Rivven partition instead of searching it"
    )
    parser.add_argument("--format", choices=("table", "json"), default="table", help="form of the results")
    return parser


def run(args: argparse.Namespace) -> int:
    """Translate the positions, commit them when asked to, and print a line for each.

    Raises:
        ConfigError: The file or an argument is wrong, or the options of the source do not allow it.
        RivvenKafkaError: A broker cannot be reached or refuses; what was committed stays.
    """
    config = load_connect_file(args.config)
    entry = config.sources.get(args.source)
    if entry is None:
        names = ", ".join(config.sources) or "none"
        raise ConfigError(f"{args.config}: --source: got {args.source!r}: expected one of: {names}")
    if not args.verbose:
        logging.getLogger("kafka").setLevel(logging.ERROR)
    # Imported here for the sake of commands that only read the file, see `run`.
    from rivven_kafka.offsets import migrate_groups

    progress = Progress()
    try:
        report = migrate_groups(
            args.source,
            entry,
            config.broker,
            config.settings,
            args.group,
            apply=args.apply,
            to_group=args.to_group,
            allow_active=args.allow_active,
            partial=args.partial,
            leave_out=[each.config.consumer_group for each in config.sources.values()],
            reserved=[sink.consumer_group for sink in config.sinks.values()],
            scan=args.scan,
            progress=progress.show,
        )
    finally:
        progress.end()
    if args.format == "json":
        print_json(report.to_dict())
    else:
        _print(report)
    return exit_codes.DIFFERENCES if report.left else exit_codes.OK


def _print(report: Migration) -> None:
    print_table([_HEAD, *map(_row, report.positions)], right=(3, 4))
    for note in report.notes:
        print_line(f"note: {note}")


def _row(at: GroupPosition) -> tuple[str, ...]:
    topic, partition, offset = at.kafka[0]
    more = f" and {len(at.kafka) - 1} more" if len(at.kafka) > 1 else ""
    group = at.group if at.group == at.to_group else f"{at.group} -> {at.to_group}"
    return (
        group,
        f"{topic}:{partition}@{offset}{more}",
        f"{at.rivven_topic}:{at.rivven_partition}",
        "-" if at.now is None else str(at.now),
        str(at.offset),
        f"{at.again} {at.status}" if at.status == "read again" else str(at.status),
        str(at.move),
    )

"""`rivven-kafka groups`: takes the positions of Kafka consumer groups over to Rivven."""

from __future__ import annotations

import argparse
import logging
from typing import TYPE_CHECKING

from rivven_kafka.cli import exit_codes
from rivven_kafka.cli.file import load_connect_file, source_named
from rivven_kafka.cli.output import print_json, print_line, print_table
from rivven_kafka.cli.progress import Progress

if TYPE_CHECKING:
    from rivven_kafka.offsets import GroupPosition, GroupReturn, Migration, Return

_HEAD = ("GROUP", "READ", "GOES TO", "NOW", "NEW", "POSITION", "STATUS")
_SAME_GROUP = "{group}"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command's arguments."""
    parser = subparsers.add_parser(
        "groups",
        help="take the positions of Kafka consumer groups over to Rivven",
        description="Translate what consumer groups have committed in the Kafka topics of a source, and "
        "commit it in Rivven with --apply. No position is ever set back, nothing is changed in Kafka, and it "
        "can be repeated at any time. Exit code 3 when some positions are still to be moved, or a group of "
        "--group has none.",
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
    parser.add_argument("--apply", action="store_true", help="commit in Rivven, or with --back in Kafka")
    parser.add_argument(
        "--back",
        action="store_true",
        help="take positions of groups in Rivven back to Kafka; needs --group, and a group without members",
    )
    parser.add_argument(
        "--to-group",
        default=_SAME_GROUP,
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
    _check_back(args)
    config = load_connect_file(args.config)
    entry = source_named(config, args.config, args.source)
    if not args.verbose:
        logging.getLogger("kafka").setLevel(logging.ERROR)
    source = args.source, entry, config.broker, config.settings
    connectors = [each.config.consumer_group for each in config.sources.values()]
    sinks = [sink.consumer_group for sink in config.sinks.values()]
    # Imported here for the sake of commands that only read the file, see `run`.
    from rivven_kafka.offsets import migrate_groups, return_groups

    progress = Progress()
    report: Migration | Return
    try:
        if args.back:
            report = return_groups(
                *source,
                args.group,
                apply=args.apply,
                leave_out=[*connectors, *sinks],
                progress=progress.show,
            )
        else:
            report = migrate_groups(
                *source,
                args.group,
                apply=args.apply,
                to_group=args.to_group,
                allow_active=args.allow_active,
                partial=args.partial,
                leave_out=connectors,
                reserved=sinks,
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


def _check_back(args: argparse.Namespace) -> None:
    if not args.back:
        return
    for option in ("all", "allow_active", "partial", "scan"):
        if getattr(args, option):
            args.parser.error(f"argument --back: not allowed with --{option.replace('_', '-')}")
    if args.to_group != _SAME_GROUP:
        args.parser.error("argument --back: not allowed with --to-group")


def _print(report: Migration | Return) -> None:
    rows = [_row(at, _ends(at)) for at in report.positions]
    print_table([_HEAD, *rows], right=(3, 4))
    for note in report.notes:
        print_line(f"note: {note}")


def _ends(at: GroupPosition | GroupReturn) -> tuple[str, list[tuple[str, int, int]], str]:
    """The group, where it comes from, and where it goes."""
    from rivven_kafka.offsets import GroupPosition

    if isinstance(at, GroupPosition):
        group = at.group if at.group == at.to_group else f"{at.group} -> {at.to_group}"
        return group, at.kafka, f"{at.rivven_topic}:{at.rivven_partition}"
    return at.group, at.rivven, f"{at.kafka_topic}:{at.kafka_partition}"


def _row(
    at: GroupPosition | GroupReturn, ends: tuple[str, list[tuple[str, int, int]], str]
) -> tuple[str, ...]:
    group, origins, target = ends
    topic, partition, offset = origins[0]
    more = f" and {len(origins) - 1} more" if len(origins) > 1 else ""
    return (
        group,
        f"{topic}:{partition}@{offset}{more}",
        target,
        "-" if at.now is None else str(at.now),
        str(at.offset),
        f"{at.again} {at.status}" if at.status == "read again" else str(at.status),
        str(at.move),
    )

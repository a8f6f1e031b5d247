"""`rivven-kafka offsets`: where places in Kafka are in Rivven, and back."""

from __future__ import annotations

import argparse
import logging
from typing import TYPE_CHECKING

from rivven_kafka.cli import exit_codes
from rivven_kafka.cli.file import load_connect_file, source_named
from rivven_kafka.cli.output import print_json, print_table
from rivven_kafka.cli.progress import Progress

if TYPE_CHECKING:
    from rivven_kafka.offsets import Place, Translation

_HEAD = ("PLACE", "KAFKA", "RIVVEN", "STATUS")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command's arguments."""
    parser = subparsers.add_parser(
        "offsets",
        help="translate offsets and times of Kafka to offsets of Rivven, and back",
        description="Tell where to read on in Rivven for who has read a Kafka partition up to an offset or a "
        "time, and which Kafka record lies at an offset of Rivven. Nothing is written anywhere. Exit code 3 "
        "when a place has no exact counterpart.",
        epilog="Example: rivven-kafka -c connect.yaml offsets translate orders:3@1000 --source orders",
    )
    parser.add_argument("action", choices=("translate",), help="what to do")
    parser.add_argument(
        "places",
        nargs="+",
        type=_place,
        metavar="PLACE",
        help="topic:partition@offset, or a time behind the @ (RFC 3339, or ms: and milliseconds since 1970)",
    )
    parser.add_argument(
        "--source", required=True, metavar="NAME", help="name of the source in the configuration file"
    )
    parser.add_argument(
        "--from",
        dest="origin",
        choices=("kafka", "rivven"),
        default="kafka",
        help="the side that the places are on (kafka)",
    )
    parser.add_argument(
        "--scan", action="store_true", help="read all of each Rivven partition instead of searching it"
    )
    parser.add_argument("--format", choices=("table", "json"), default="table", help="form of the results")
    return parser


def _place(text: str) -> Place:
    # Imported here for the sake of other commands, see `run`.
    from rivven_kafka.offsets import parse_place

    try:
        return parse_place(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def run(args: argparse.Namespace) -> int:
    """Translate the places, and print a line for each.

    Raises:
        ConfigError: The file is wrong, has no such source, or its options leave nothing to translate by.
        RivvenKafkaError: A broker cannot be reached, or the logs do not tell.
    """
    config = load_connect_file(args.config)
    entry = source_named(config, args.config, args.source)
    # Imported here for the sake of commands that only read the file, see `run`.
    from rivven_kafka.offsets import translate_offsets

    if not args.verbose:
        logging.getLogger("kafka").setLevel(logging.ERROR)
    progress = Progress()
    try:
        found = translate_offsets(
            args.source,
            entry,
            config.broker,
            config.settings,
            args.places,
            origin=args.origin,
            scan=args.scan,
            progress=progress.show,
        )
    finally:
        progress.end()
    if args.format == "json":
        print_json([one.to_dict() for one in found])
    else:
        print_table([_HEAD, *map(_row, found)])
    exact = all(one.status == "exact" for one in found)
    return exit_codes.OK if exact else exit_codes.DIFFERENCES


def _row(found: Translation) -> tuple[str, ...]:
    kafka = "-"
    if found.kafka_topic is not None:
        kafka = f"{found.kafka_topic}:{found.kafka_partition}@{found.kafka_offset}"
    rivven = f"{found.rivven_topic}:{found.rivven_partition}@{found.rivven_offset}"
    return found.asked, kafka, rivven, _status(found)


def _status(found: Translation) -> str:
    text = f"{found.again} {found.status}" if found.status == "read again" else str(found.status)
    if found.next_kafka_offset not in (None, found.kafka_offset):
        text += f", next is {found.next_kafka_offset}"
    return f"{text} ({found.method})"

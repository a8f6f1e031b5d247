"""`rivven-kafka verify`: proves that Rivven holds what a source has copied, or shows what differs."""

from __future__ import annotations

import argparse
import logging
import re
from typing import TYPE_CHECKING

from rivven_kafka.cli import exit_codes
from rivven_kafka.cli.file import load_connect_file, source_named
from rivven_kafka.cli.output import print_json, print_line, print_table
from rivven_kafka.cli.progress import Progress
from rivven_kafka.errors import ConfigError

if TYPE_CHECKING:
    from rivven_kafka.verify import Difference, RecordCopy, VerifyReport

_COUNTS = (
    "missing",
    "extra",
    "doubled",
    "out_of_order",
    "misplaced",
    "left_out",
    "bad",
    "compacted_away",
    "undecided",
)
_ALWAYS = ("missing", "extra", "doubled", "out_of_order")
_PARTITION = re.compile(
    r"(?P<topic>[^:@]+):(?P<partition>\d{1,9})(?:@(?P<first>\d{1,18})-(?P<last>\d{1,18}))?"
)

Chosen = dict[tuple[str, int], tuple[int, int] | None]
"""Partitions, and the offsets to compare: the first, and the one behind the last."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command's arguments."""
    parser = subparsers.add_parser(
        "verify",
        help="prove that Rivven holds what a source has copied, record by record",
        description="Compare every record of a source's Kafka topics with what the source has written to "
        "Rivven: contents, order and number. Nothing is written anywhere, and the source may be running. The "
        "exit code is 3 when there is a difference, and the first one of each partition is shown.",
        epilog="Example: rivven-kafka -c connect.yaml verify --source orders",
    )
    parser.add_argument(
        "--source", required=True, metavar="NAME", help="name of the source in the configuration file"
    )
    parser.add_argument(
        "--to",
        choices=("committed", "end"),
        default="committed",
        help="compare up to the committed offsets of the source's group, or to the end of Kafka (committed)",
    )
    parser.add_argument(
        "--partition",
        action="append",
        default=[],
        metavar="TOPIC:N[@FIRST-LAST]",
        help="compare only this Kafka partition, or these offsets of it; may be repeated",
    )
    parser.add_argument(
        "--no-values", action="store_true", help="show no keys, values and headers of records that differ"
    )
    parser.add_argument("--format", choices=("table", "json"), default="table", help="form of the results")
    return parser


def run(args: argparse.Namespace) -> int:
    """Compare.

    Raises:
        ConfigError: The file is wrong, has no such source or partition, or its options do not allow it.
        RivvenKafkaError: A broker cannot be reached.
    """
    config = load_connect_file(args.config)
    entry = source_named(config, args.config, args.source)
    chosen = _chosen(args.partition)
    if not args.verbose:
        # What matters of it is raised; the rest is about connections that are closed on purpose.
        logging.getLogger("kafka").setLevel(logging.CRITICAL)
    # Imported here for the sake of commands that only read the file, see `run`.
    from rivven_kafka.verify import verify_source

    progress = Progress()
    try:
        report = verify_source(
            args.source,
            entry,
            config.broker,
            config.settings,
            starts={place: span[0] for place, span in chosen.items() if span is not None},
            ends={place: span[1] for place, span in chosen.items() if span is not None},
            progress=progress.show,
            only=chosen or None,
            to_end=args.to == "end",
        )
    finally:
        progress.end()
    if args.format == "json":
        print_json(report.to_dict(values=not args.no_values))
    else:
        _print(report, values=not args.no_values)
    return exit_codes.OK if report.equal else exit_codes.DIFFERENCES


def _chosen(given: list[str]) -> Chosen:
    chosen: Chosen = {}
    for text in given:
        match = _PARTITION.fullmatch(text)
        span = None
        if match is not None and match["first"] is not None:
            span = int(match["first"]), int(match["last"]) + 1
        if match is None or (span is not None and span[0] >= span[1]):
            raise ConfigError(
                f"--partition: got {text!r}: expected TOPIC:NUMBER, or TOPIC:NUMBER@FIRST-LAST as in "
                f"orders:3@100-2000"
            )
        place = match["topic"], int(match["partition"])
        if place in chosen:
            raise ConfigError(f"--partition: got {text!r}: {place[0]}:{place[1]} is given twice")
        chosen[place] = span
    return chosen


def _print(report: VerifyReport, *, values: bool) -> None:
    # The others matter only where there are any.
    columns = [
        name for name in _COUNTS if name in _ALWAYS or any(getattr(one, name) for one in report.partitions)
    ]
    heads = [name.upper().replace("_", " ") for name in columns]
    rows = [("TOPIC", "PARTITION", "OFFSETS", "KAFKA", "RIVVEN", *heads, "EQUAL", "DIGEST")]
    for one in report.partitions:
        span = f"{one.start}-{one.end - 1}" if one.start < one.end else "none"
        counts = ["-" if (count := getattr(one, name)) is None else str(count) for name in columns]
        numbers = str(one.records_kafka), str(one.records_rivven)
        equal = "yes" if one.equal else "no"
        rows.append((one.topic, str(one.partition), span, *numbers, *counts, equal, one.digest_kafka))
    print_table(rows, right=range(1, len(columns) + 5))
    for one in report.partitions:
        if one.first_difference is not None:
            print_line(f"first difference in {one.topic}:{one.partition}: {one.first_difference.text}")
            _print_sides(one.first_difference, values=values)
    for gap in report.unreadable:
        print_line(f"unreadable in Rivven {gap.topic}:{gap.partition}: {gap.first}-{gap.last}")
    for gap in report.beyond_end:
        print_line(f"behind the end of Rivven {gap.topic}:{gap.partition}: a record at {gap.first}")
    for topic, count in report.foreign.items():
        if count:
            print_line(f"in Rivven {topic}: {count} records that come from none of these")
    for note in report.notes:
        print_line(f"note: {note}")


def _print_sides(difference: Difference, *, values: bool) -> None:
    for side, copy in (("Kafka", difference.kafka), ("Rivven", difference.rivven)):
        if copy is not None:
            print_line(
                f"  {side} {copy.partition}:{copy.offset}: {_in_words(copy, difference, values=values)}"
            )


def _in_words(copy: RecordCopy, difference: Difference, *, values: bool) -> str:
    told = copy.to_dict(values=values, around=difference.around)
    parts = []
    if copy.timestamp is not None:
        by = " set by Kafka" if copy.timestamp_type else ""
        parts.append(f"timestamp {copy.timestamp}{by}")
    for name in ("key", "value"):
        size = told[f"{name}_bytes"]
        text = f": {told[name]}" if values and size else ""
        parts.append(f"no {name}" if size is None else f"{name} of {size} bytes{text}")
    if values and copy.headers:
        headers = ", ".join(f"{name}={'null' if value is None else value}" for name, value in told["headers"])
        parts.append(f"headers {headers}")
    return "; ".join(parts)

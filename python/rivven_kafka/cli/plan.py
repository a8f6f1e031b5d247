"""`rivven-kafka plan`: what a migration would do, and whether it can be exact; nothing is written."""

from __future__ import annotations

import argparse
import logging
from typing import TYPE_CHECKING

from rivven_kafka.cli import exit_codes
from rivven_kafka.cli.file import load_connect_file, source_named
from rivven_kafka.cli.output import print_json, print_line, print_table
from rivven_kafka.cli.progress import Progress
from rivven_kafka.errors import ConfigError

if TYPE_CHECKING:
    from rivven_kafka.config import ConnectConfig
    from rivven_kafka.plan import Estimate, SourcePlan, TopicPlan

_UNKNOWN = "-"
_SIZES = ("B", "KiB", "MiB", "GiB", "TiB")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command's arguments."""
    parser = subparsers.add_parser(
        "plan",
        help="tell what a source would copy, and what would not survive",
        description="Look at the Kafka topics of the enabled sources and at their place in Rivven, and tell "
        "how much there is, what would not survive, and how long the copy may take. Writes nothing, unless "
        "--probe-write is given. Exit code 1 when the copy cannot be exact.",
        epilog="Example: rivven-kafka -c connect.yaml plan --source orders --format json",
    )
    parser.add_argument("--source", metavar="NAME", help="one source only, also one that is not enabled")
    parser.add_argument(
        "--full", action="store_true", help="read all records, however long it takes, instead of a sample"
    )
    parser.add_argument(
        "--sample-seconds",
        type=_seconds,
        default=10.0,
        metavar="S",
        help="longest time to read the sample of a source, in seconds (10)",
    )
    parser.add_argument(
        "--probe-write",
        action="store_true",
        help="publish a few thousand records to Rivven topics of its own to measure the rate; they are "
        "deleted, but rivvend keeps their files",
    )
    parser.add_argument(
        "--accept",
        action="append",
        default=[],
        metavar="CODE",
        help="a finding that is wanted so and does not count, such as timestamps; may be repeated",
    )
    parser.add_argument("--format", choices=("table", "json"), default="table", help="form of the results")
    return parser


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value <= 86_400:
        raise argparse.ArgumentTypeError(f"got {text}: expected a number of seconds above 0, at most 86400")
    return value


def run(args: argparse.Namespace) -> int:
    """Make the plan of each source, and print it.

    Raises:
        ConfigError: The file is wrong or has no such source, or there is no finding of an accepted code.
    """
    config = load_connect_file(args.config)
    names = _names(args, config)
    if not args.verbose:
        # What goes wrong is a finding; kafka-python would say so once per attempt.
        logging.getLogger("kafka").setLevel(logging.CRITICAL)
    # Imported here for the sake of commands that only read the file, see `run`.
    from rivven_kafka.plan import CODES, SampleOptions, plan_source

    for code in args.accept:
        if code not in CODES:
            raise ConfigError(f"--accept: got {code!r}: expected one of: {', '.join(CODES)}")
    progress = Progress()
    plans = []
    try:
        for name in names:
            others = {other: entry for other, entry in config.enabled_sources.items() if other != name}
            plans.append(
                plan_source(
                    name,
                    config.sources[name],
                    config.broker,
                    config.settings,
                    others=others,
                    sample=SampleOptions(full=args.full, seconds=args.sample_seconds),
                    probe_write=args.probe_write,
                    accept=args.accept,
                    progress=progress.show,
                )
            )
    finally:
        progress.end()
    if args.format == "json":
        print_json(
            {"exact": all(plan.exact for plan in plans), "sources": [plan.to_dict() for plan in plans]}
        )
    else:
        for plan in plans:
            _print(plan)
    return exit_codes.OK if all(plan.exact for plan in plans) else exit_codes.FAILURE


def _names(args: argparse.Namespace, config: ConnectConfig) -> list[str]:
    if args.source is None:
        if not config.enabled_sources:
            raise ConfigError(f"{args.config}: sources: none is enabled: expected one, or --source")
        return list(config.enabled_sources)
    source_named(config, args.config, args.source)
    return [args.source]


def _print(plan: SourcePlan) -> None:
    print_line(f"source {plan.source} ({plan.value_format})")
    if plan.topics:
        rows = [
            (
                "TOPIC",
                "PARTITIONS",
                "RECORDS",
                "TO COPY",
                "ON DISK",
                "PER S",
                "SEEN",
                "RIVVEN TOPIC",
                "HOLDS",
            ),
            *map(_row, plan.topics),
        ]
        print_table(rows, right=(1, 2, 3, 4, 5, 6, 8))
    if plan.findings:
        print_line("")
        rows = [
            (
                "accepted" if finding.accepted else str(finding.severity),
                finding.code,
                finding.topic or "",
                finding.message,
            )
            for finding in plan.findings
        ]
        print_table(rows)
    print_line("")
    if plan.estimate is not None:
        _print_estimate(plan.estimate)
    _print_verdict(plan)


def _row(topic: TopicPlan) -> tuple[str, ...]:
    new = " (new)" if topic.destination_exists is False else ""
    about = "" if topic.records_exact else "~"
    return (
        topic.topic,
        str(topic.partitions),
        f"{about}{topic.records}",
        f"{about}{topic.to_copy}",
        _UNKNOWN if topic.size_bytes is None else size_text(topic.size_bytes),
        f"{max(topic.records_per_second):.1f}",
        f"{100 * topic.sampled_share:.0f} %",
        f"{topic.destination}{new}",
        _UNKNOWN if topic.destination_exists is None else str(topic.destination_records),
    )


def _print_estimate(found: Estimate) -> None:
    slow, fast = found.records_per_second
    short, long = found.seconds
    basis = "measured with a probe" if found.measured else "from what rivvend is known to take"
    print_line(
        f"estimate: {found.records} records, {size_text(found.rivven_bytes)} in Rivven, in "
        f"{time_text(short)} to {time_text(long)}"
    )
    print_line(f"  {slow:.0f} to {fast:.0f} records/s, {basis}; bound by {found.bound_by}")
    details = []
    if found.kafka_records_per_second is not None:
        details.append(f"Kafka was read at {found.kafka_records_per_second:.0f} records/s")
    if found.rivven_round_trip_ms is not None:
        details.append(f"Rivven answers in {found.rivven_round_trip_ms:.2f} ms")
    details.append(f"{found.incoming_per_second:.1f} records/s come in")
    print_line(f"  {'; '.join(details)}")


def _print_verdict(plan: SourcePlan) -> None:
    if plan.exact:
        whole = all(topic.sampled_share == 1 for topic in plan.topics)
        seen = "as far as the position is known" if whole else "as far as a sample tells"
        seen = "all records were looked at" if plan.certain else seen
        print_line(f"exact: yes, {seen}")
        return
    codes = dict.fromkeys(finding.code for finding in plan.reasons())
    print_line(f"exact: no, because of {', '.join(codes)}")
    for code in codes:
        remedies = dict.fromkeys(each.remedy for each in plan.reasons() if each.code == code and each.remedy)
        if remedies:
            print_line(f"  {code}: {'; '.join(remedy for remedy in remedies if remedy)}")


def size_text(count: float) -> str:
    """Bytes in the largest unit that leaves at least 1."""
    power = 0
    while count >= 1024 and power < len(_SIZES) - 1:
        count /= 1024
        power += 1
    return f"{count:.1f} {_SIZES[power]}" if power else f"{count:.0f} {_SIZES[0]}"


def time_text(seconds: float) -> str:
    """A time in a unit that fits."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"

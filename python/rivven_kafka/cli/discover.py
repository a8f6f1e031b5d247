"""`rivven-kafka discover`: lists the Kafka topics that a source can reach."""

from __future__ import annotations

import argparse

from rivven_kafka.cli import exit_codes
from rivven_kafka.cli.file import load_connect_file, source_named
from rivven_kafka.cli.output import print_json, print_table

_UNKNOWN = "-"
_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000))


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command's arguments."""
    parser = subparsers.add_parser(
        "discover",
        help="list the Kafka topics that a source can reach",
        description="List the topics of the Kafka cluster of a source, without Kafka's internal ones. A dash "
        "stands for what the user may not see. JSON shows the whole catalog, with the schema of the events.",
        epilog="Example: rivven-kafka -c connect.yaml discover orders",
    )
    parser.add_argument("source", help="name of the source in the configuration file")
    parser.add_argument("--format", choices=("table", "json"), default="table", help="form of the results")
    return parser


def run(args: argparse.Namespace) -> int:
    """List the topics.

    Raises:
        ConfigError: The file is wrong, or has no such source.
        RivvenKafkaError: Kafka cannot be reached.
    """
    config = load_connect_file(args.config)
    entry = source_named(config, args.config, args.source, argument="source")
    # The Kafka client takes longest of all to import: not for commands that only read the file.
    from rivven_kafka.source import KafkaSource

    catalog = KafkaSource(entry.config).discover()
    if args.format == "json":
        print_json(catalog.to_dict())
        return exit_codes.OK
    rows = [("TOPIC", "PARTITIONS", "REPLICAS", "CLEANUP", "RETENTION")]
    for stream in catalog:
        configs = stream.metadata["configs"] or {}
        rows.append(
            (
                stream.name,
                str(stream.metadata["partition_count"]),
                str(stream.metadata["replication_factor"]),
                configs.get("cleanup.policy") or _UNKNOWN,
                _duration(configs.get("retention.ms")),
            )
        )
    print_table(rows, right=(1, 2))
    return exit_codes.OK


def _duration(milliseconds: str | None) -> str:
    """A time to keep records, in the largest unit that shows it exactly."""
    if milliseconds is None:
        return _UNKNOWN
    value = int(milliseconds)
    if value < 0:
        return "forever"
    for unit, length in _UNITS:
        if value % length == 0:
            return f"{value // length} {unit}"
    return f"{value} ms"

"""`rivven-kafka discover`: lists the Kafka topics that a source can reach."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from rivven_kafka.cli import exit_codes
from rivven_kafka.cli.output import print_json, print_line
from rivven_kafka.config import load_connect_file
from rivven_kafka.errors import ConfigError


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command's arguments."""
    parser = subparsers.add_parser(
        "discover",
        help="list the Kafka topics that a source can reach",
        description="List the topics of the Kafka cluster of a source, without Kafka's internal ones.",
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
    entry = config.sources.get(args.source)
    if entry is None:
        names = ", ".join(config.sources) or "none"
        raise ConfigError(f"{args.config}: source: got {args.source!r}: expected one of: {names}")
    # Imported here for the sake of commands that only read the file, see `run`.
    from rivven_kafka.source import KafkaSource

    topics = KafkaSource(entry.config).discover()
    if args.format == "json":
        print_json([asdict(topic) for topic in topics])
    else:
        print_line(f"{'TOPIC':<40}  PARTITIONS  REPLICAS")
        for topic in topics:
            print_line(f"{topic.name:<40}  {topic.partitions:>10}  {topic.replication_factor:>8}")
    return exit_codes.OK

"""`rivven-kafka spec`: prints the configuration: defaults, ranges and descriptions."""

from __future__ import annotations

import argparse

from rivven_kafka.cli import exit_codes
from rivven_kafka.cli.output import print_json, print_line

_PARTS = {
    "source": (("Options of a source", "KafkaSourceConfig"),),
    "sink": (("Options of a sink", "KafkaSinkConfig"),),
    "connect": (("The file", "ConnectConfig"),),
    "single": (("`type: kafka-source`", "SourceEntry"), ("`type: kafka-sink`", "SinkEntry")),
}
"""The parts, with titles and the names of their models."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command's arguments."""
    parser = subparsers.add_parser(
        "spec",
        help="print all options, as JSON Schema or as tables",
        description="Print the options of a part of the configuration, as JSON Schema (draft 2020-12) or as "
        "tables: the config section of a source or of a sink, a whole file (connect), or a file with one "
        "connector (single).",
        epilog="Example: rivven-kafka spec sink --format markdown",
    )
    parser.add_argument("part", choices=tuple(_PARTS), help="the part to describe")
    parser.add_argument(
        "--format", choices=("json", "markdown"), default="json", help="JSON Schema, or tables for people"
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Print the schema, or the tables."""
    from rivven_kafka import config
    from rivven_kafka.cli.reference import option_tables
    from rivven_kafka.cli.schema import file_schema, single_schema

    models = [(title, getattr(config, model)) for title, model in _PARTS[args.part]]
    if args.format == "markdown":
        omit = "connector" if args.part == "single" else ""
        tables = [option_tables(title, model, omit=omit) for title, model in models]
        print_line("\n".join(tables).rstrip())
    elif args.part == "single":
        print_json(single_schema())
    else:
        print_json(file_schema(models[0][1]))
    return exit_codes.OK

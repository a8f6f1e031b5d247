"""`rivven-kafka spec`: prints the configuration: defaults, ranges and descriptions."""

from __future__ import annotations

import argparse

from pydantic import BaseModel

from rivven_kafka.cli import exit_codes
from rivven_kafka.cli.output import print_json, print_line
from rivven_kafka.cli.reference import option_tables
from rivven_kafka.config import ConnectConfig, KafkaSinkConfig, KafkaSourceConfig

_MODELS: dict[str, type[BaseModel]] = {
    "source": KafkaSourceConfig,
    "sink": KafkaSinkConfig,
    "connect": ConnectConfig,
}
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command's arguments."""
    parser = subparsers.add_parser(
        "spec",
        help="print all options, as JSON Schema or as tables",
        description="Print the options of a source, of a sink, or of the whole file.",
        epilog="Example: rivven-kafka spec sink --format markdown",
    )
    parser.add_argument("part", choices=tuple(_MODELS), help="the part to describe")
    parser.add_argument(
        "--format", choices=("json", "markdown"), default="json", help="JSON Schema, or tables for people"
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Print the schema."""
    if args.format == "markdown":
        print_line(option_tables(f"Options of a {args.part}", _MODELS[args.part]))
    else:
        print_json({"$schema": _DIALECT, **_MODELS[args.part].model_json_schema()})
    return exit_codes.OK

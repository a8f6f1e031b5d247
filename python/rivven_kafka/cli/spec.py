"""`rivven-kafka spec`: prints the JSON Schema of the configuration: defaults, ranges and descriptions."""

from __future__ import annotations

import argparse

from pydantic import BaseModel

from rivven_kafka.cli import exit_codes
from rivven_kafka.cli.output import print_json
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
        help="print the JSON Schema of the configuration",
        description="Print the JSON Schema of the options of a source, of a sink, or of the whole file.",
    )
    parser.add_argument("part", choices=tuple(_MODELS), help="the part to describe")
    return parser


def run(args: argparse.Namespace) -> int:
    """Print the schema."""
    print_json({"$schema": _DIALECT, **_MODELS[args.part].model_json_schema()})
    return exit_codes.OK

"""`rivven-kafka validate`: checks the configuration file without connecting to anything."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict

from rivven_kafka.cli import exit_codes
from rivven_kafka.cli.file import load_with_warnings
from rivven_kafka.cli.output import print_json, print_line
from rivven_kafka.errors import ConfigError, ConfigProblem


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command's arguments."""
    parser = subparsers.add_parser(
        "validate",
        help="check the configuration file",
        description="Check the configuration file without connecting to anything. Prints ok or all problems, "
        "each with its file, line and option (exit code 78).",
        epilog="Example: rivven-kafka -c connect.yaml validate",
    )
    parser.add_argument(
        "--format",
        choices=("table", "json"),
        default="table",
        help="a line for each problem, or a list of objects with file, line, option and problem",
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Check the file and print what is wrong with it."""
    problems: Sequence[ConfigProblem] = ()
    try:
        load_with_warnings(args.config)
    except ConfigError as error:
        problems = error.problems
    if args.format == "json":
        print_json([asdict(problem) for problem in problems])
    else:
        for problem in problems:
            print_line(str(problem))
        if not problems:
            print_line("ok")
    return exit_codes.BAD_CONFIG if problems else exit_codes.OK

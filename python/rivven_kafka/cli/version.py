"""`rivven-kafka version`: prints the versions a bug report needs."""

from __future__ import annotations

import argparse
import platform

from rivven_kafka.cli import exit_codes
from rivven_kafka.cli.output import print_json, print_line

_LIBRARIES = ("kafka-python", "pydantic", "prometheus-client", "PyYAML")


def _version(distribution: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown (not installed)"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command's arguments."""
    parser = subparsers.add_parser(
        "version",
        help="print the version",
        description="Print the version, and those of Python and of the libraries below, for bug reports.",
        epilog="Example: rivven-kafka version --format json",
    )
    parser.add_argument("--format", choices=("table", "json"), default="table", help="form of the result")
    return parser


def run(args: argparse.Namespace) -> int:
    """Print the versions, ours first."""
    versions = {name: _version(name) for name in ("rivven-kafka", *_LIBRARIES)}
    python = platform.python_version()
    system = f"{platform.system()} {platform.machine()}"
    if args.format == "json":
        print_json({**versions, "python": python, "platform": system})
        return exit_codes.OK
    print_line(f"rivven-kafka {versions.pop('rivven-kafka')}")
    print_line(f"Python {python} on {system}")
    for name, found in versions.items():
        print_line(f"{name} {found}")
    return exit_codes.OK

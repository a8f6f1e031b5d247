"""`rivven-kafka version`: prints the versions a bug report needs."""

from __future__ import annotations

import argparse
import platform
from importlib.metadata import PackageNotFoundError, version

from rivven_kafka.cli import exit_codes
from rivven_kafka.cli.output import print_line

_LIBRARIES = ("kafka-python", "pydantic")


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown (not installed)"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command's arguments."""
    return subparsers.add_parser("version", help="print the version", description="Print the version.")


def run(_args: argparse.Namespace) -> int:
    """Print the versions, ours first."""
    print_line(f"rivven-kafka {_version('rivven-kafka')}")
    print_line(f"Python {platform.python_version()} on {platform.system()} {platform.machine()}")
    for library in _LIBRARIES:
        print_line(f"{library} {_version(library)}")
    return exit_codes.OK

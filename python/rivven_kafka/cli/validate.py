"""`rivven-kafka validate`: checks the configuration file without connecting to anything."""

from __future__ import annotations

import argparse
import logging

from rivven_kafka.cli import exit_codes
from rivven_kafka.cli.output import print_line
from rivven_kafka.config import load_connect_file

_log = logging.getLogger(__name__)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command's arguments."""
    return subparsers.add_parser(
        "validate",
        help="check the configuration file",
        description="Check the configuration file without connecting to anything. Prints ok, or all problems "
        "(exit code 78).",
    )


def run(args: argparse.Namespace) -> int:
    """Check the file.

    Raises:
        ConfigError: Lists what is wrong.
    """
    load_connect_file(args.config)
    print_line("ok")
    return exit_codes.OK

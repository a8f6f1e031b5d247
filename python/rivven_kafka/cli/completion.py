"""`rivven-kafka completion`: prints a script that completes the command line in a shell."""

from __future__ import annotations

import argparse

import shtab

from rivven_kafka.cli import exit_codes
from rivven_kafka.cli.output import print_line

SHELLS = ("bash", "zsh", "tcsh")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command's arguments."""
    parser = subparsers.add_parser(
        "completion",
        help="print a script for the completion of the command line",
        description="Print a script that completes commands, options, their values and file names. "
        "Put it where the shell looks for such scripts, or load it in the start-up file of the shell.",
        epilog='Example: eval "$(rivven-kafka completion bash)"',
    )
    parser.add_argument("shell", choices=SHELLS, help="the shell to complete in")
    return parser


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    print_line(shtab.complete(args.parser, args.shell))
    return exit_codes.OK

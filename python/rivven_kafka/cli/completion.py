"""`rivven-kafka completion`: prints a script that completes the command line in a shell."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from rivven_kafka.cli import exit_codes
from rivven_kafka.cli.output import print_line

SHELLS = ("bash", "zsh", "tcsh")
FILE = "FILE"
"""The metavar of options whose values are names of files."""


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
    import shtab

    parser: argparse.ArgumentParser = args.parser
    for files in _file_options(parser):
        files.complete = shtab.FILE  # type: ignore[attr-defined]
    print_line(shtab.complete(parser, args.shell))
    return exit_codes.OK


def _file_options(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """The options, of the commands too, whose values are names of files."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _file_options(command)
        elif action.metavar == FILE:
            yield action

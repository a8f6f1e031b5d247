"""Entry point of the command: global options, the table of commands, and what becomes of errors."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import textwrap
from collections.abc import Sequence
from typing import Protocol

from rivven_kafka.cli import (
    check,
    completion,
    discover,
    dlq,
    exit_codes,
    logs,
    migrate,
    repair,
    run,
    spec,
    status,
    validate,
    verify,
    version,
)
from rivven_kafka.errors import ConfigError, RivvenKafkaError

_log = logging.getLogger(__name__)


class Command(Protocol):
    """What the module of a command offers."""

    def add_parser(
        self, subparsers: argparse._SubParsersAction[argparse.ArgumentParser], /
    ) -> argparse.ArgumentParser:
        """Describe the command's arguments."""

    def run(self, args: argparse.Namespace, /) -> int:
        """Do the work and return the exit code."""


COMMANDS: tuple[Command, ...] = (
    run,
    status,
    check,
    discover,
    migrate,
    repair,
    verify,
    dlq,
    validate,
    spec,
    completion,
    version,
)


class _HelpFormatter(argparse.HelpFormatter):
    """Keeps `rivven-kafka` in one piece: examples are there to be copied."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return textwrap.fill(
            text, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
        )


def _add_global_options(parser: argparse.ArgumentParser, *, top: bool) -> None:
    """Add the options that may stand before or after the command.

    Args:
        parser: Where to add them.
        top: Whether this is the main parser, which sets the defaults: a default of a command's parser would
            overwrite what stands before the command.
    """

    def default(value: object) -> object:
        return value if top else argparse.SUPPRESS

    parser.add_argument(
        "-c",
        "--config",
        metavar=completion.FILE,
        default=default("connect.yaml"),
        help="configuration file (connect.yaml)",
    )
    parser.add_argument(
        "-v", "--verbose", action="store_true", default=default(False), help="log debug messages too"
    )
    parser.add_argument(
        "--log-format", choices=("text", "json"), default=default("text"), help="format of the log (text)"
    )
    parser.add_argument("--no-color", action="store_true", default=default(False), help="log without colors")


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="rivven-kafka",
        formatter_class=_HelpFormatter,
        description="Move records between Apache Kafka and Rivven, both ways.",
        epilog="Exit codes: 0 ok, 1 failure, 2 wrong arguments, 3 partly done, 78 wrong configuration, "
        "130 interrupted. Results go to standard output, the log to standard error.",
    )
    parser.set_defaults(parser=parser)
    _add_global_options(parser, top=True)
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        subparser = command.add_parser(subparsers)
        subparser.formatter_class = _HelpFormatter
        _add_global_options(subparser, top=False)
        subparser.set_defaults(run=command.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: The arguments without the program's name; those of the process if None.

    Returns:
        The exit code.
    """
    try:
        args = build_parser().parse_args(argv)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else exit_codes.USAGE
    color = not args.no_color and not os.environ.get("NO_COLOR")
    logs.install(args.log_format, verbose=args.verbose, color=color)
    try:
        code: int = args.run(args)
        sys.stdout.flush()
    except ConfigError as error:
        for problem in error.problems:
            _log.error("%s", problem)
        return exit_codes.BAD_CONFIG
    except RivvenKafkaError as error:
        _log.error("%s", error, exc_info=args.verbose)
        return exit_codes.FAILURE
    except BrokenPipeError:
        # The reader has gone (`| head`); Python would complain once more when it closes standard output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exit_codes.FAILURE
    except KeyboardInterrupt:
        return exit_codes.INTERRUPTED
    return code

"""`rivven-kafka check`: tries to reach everything that the configuration file names."""

from __future__ import annotations

import argparse
import logging
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from rivven_kafka.cli import exit_codes
from rivven_kafka.cli.file import load_with_warnings, require_enabled
from rivven_kafka.cli.output import print_json, print_table

if TYPE_CHECKING:
    from rivven_kafka.checks import CheckResult
    from rivven_kafka.config import ConnectConfig

_MARKS = {"ok": "ok", "failed": "FAIL", "skipped": "skip"}
_AT_THE_SAME_TIME = 8


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command's arguments."""
    parser = subparsers.add_parser(
        "check",
        help="try to reach Kafka and Rivven",
        description="Try what every enabled connector needs: the brokers, the login, the topics and the "
        "rights in Kafka, Rivven and its topics. Moves nothing. Exit code 1 when something fails.",
        epilog="Example: rivven-kafka -c connect.yaml check --format json",
    )
    parser.add_argument("--format", choices=("table", "json"), default="table", help="form of the results")
    return parser


def run(args: argparse.Namespace) -> int:
    """Try everything, and print one line for each thing tried.

    Raises:
        ConfigError: Lists what is wrong in the file, or every connector is disabled.
    """
    config = load_with_warnings(args.config)
    require_enabled(config, args.config)
    if not args.verbose:
        # The results say what went wrong; kafka-python would say so once per attempt.
        logging.getLogger("kafka").setLevel(logging.CRITICAL)
    results = _check(config)
    if args.format == "json":
        print_json(
            [
                {
                    "connector": name,
                    "direction": direction,
                    "check": check.name,
                    "status": str(check.status),
                    "ms": round(check.duration_ms),
                    "detail": check.detail,
                }
                for direction, name, result in results
                for check in result.checks
            ]
        )
    else:
        print_table(
            [
                (
                    _MARKS[check.status],
                    direction,
                    name,
                    check.name,
                    f"{check.duration_ms:.0f} ms",
                    check.detail,
                )
                for direction, name, result in results
                for check in result.checks
            ],
            right=(4,),
        )
    return exit_codes.OK if all(result.ok for *_, result in results) else exit_codes.FAILURE


def _check(config: ConnectConfig) -> list[tuple[str, str, CheckResult]]:
    # Imported here for the sake of commands that only read the file, see `run`.
    from rivven_kafka.pipeline.entry_check import check_sink_entry, check_source_entry

    sources = list(config.enabled_sources.values())
    broker, settings = config.broker, config.settings
    # An address that never answers costs its whole timeout: connectors do not wait for each other.
    threads = ThreadPoolExecutor(_AT_THE_SAME_TIME)
    before = signal.signal(signal.SIGINT, _interrupted)
    try:
        checks = [
            ("source", name, threads.submit(check_source_entry, name, entry, broker, settings))
            for name, entry in config.enabled_sources.items()
        ]
        checks += [
            ("sink", name, threads.submit(check_sink_entry, name, entry, broker, settings, filled_by=sources))
            for name, entry in config.enabled_sinks.items()
        ]
        return [(direction, name, check.result()) for direction, name, check in checks]
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupted(_number: int, _frame: object) -> None:
    # The interpreter would wait for each thread whose address does not answer. An exception would do no more,
    # and may be lost where Python ignores those.
    os._exit(exit_codes.INTERRUPTED)

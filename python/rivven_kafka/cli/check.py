"""`rivven-kafka check`: tries to reach everything that the configuration file names."""

from __future__ import annotations

import argparse

from rivven_kafka.cli import exit_codes
from rivven_kafka.cli.output import print_json, print_line
from rivven_kafka.config import ConnectConfig, load_connect_file


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command's arguments."""
    parser = subparsers.add_parser(
        "check",
        help="try to reach Kafka and Rivven",
        description="Try to reach Rivven, and the Kafka cluster and topic of every enabled connector. Moves "
        "nothing. Exit code 1 when something fails.",
        epilog="Example: rivven-kafka -c connect.yaml check --format json",
    )
    parser.add_argument("--format", choices=("table", "json"), default="table", help="form of the results")
    return parser


def run(args: argparse.Namespace) -> int:
    """Try everything, and print one line for each thing tried.

    Raises:
        ConfigError: Lists what is wrong in the file.
    """
    config = load_connect_file(args.config)
    results = _check(config)
    if args.format == "json":
        print_json(results)
    else:
        for line in results:
            mark = "ok  " if line["ok"] else "FAIL"
            print_line(
                f"{mark}  {line['connector']:<20}  {line['check']:<10}  {line['ms']:>8} ms  {line['detail']}"
            )
    return exit_codes.OK if all(line["ok"] for line in results) else exit_codes.FAILURE


def _check(config: ConnectConfig) -> list[dict[str, object]]:
    # Imported here for the sake of commands that only read the file, see `run`.
    from rivven_kafka._native import RivvenClient
    from rivven_kafka.checks import CheckResult, run_checks
    from rivven_kafka.rivven.options import client_arguments
    from rivven_kafka.sink import KafkaSink
    from rivven_kafka.source import KafkaSource

    retry = config.settings.retry.model_copy(update={"max_retries": 0})
    client = RivvenClient(**client_arguments(config.broker, retry, "rivven-kafka-check"))

    def ping() -> str:
        client.ping()
        return f"connected to {', '.join(config.broker.bootstrap_servers)}"

    found: list[tuple[str, CheckResult]] = [("broker", run_checks([("connect", ping)]))]
    client.close()
    found += [(name, KafkaSource(entry.config).check()) for name, entry in config.enabled_sources.items()]
    found += [(name, KafkaSink(entry.config).check()) for name, entry in config.enabled_sinks.items()]
    return [
        {
            "connector": name,
            "check": check.name,
            "ok": check.ok,
            "ms": round(check.duration_ms),
            "detail": check.detail,
        }
        for name, result in found
        for check in result.checks
    ]

"""`rivven-kafka status`: asks a running process how its connectors stand."""

from __future__ import annotations

import argparse
import json
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from rivven_kafka.cli import exit_codes
from rivven_kafka.cli.file import load_connect_file
from rivven_kafka.cli.output import print_json, print_line
from rivven_kafka.errors import ConfigError, ConnectError, ProtocolError

_TIMEOUT_S = 5.0
_MAX_BYTES = 16 * 1024 * 1024
_ALL_ADDRESSES = {"0.0.0.0": "127.0.0.1", "::": "::1"}
_COLUMNS = ("NAME", "KIND", "STATUS", "SINCE", "EVENTS", "ERRORS", "RESTARTS", "LAST ERROR")
_NUMBERS = ("EVENTS", "ERRORS", "RESTARTS")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command's arguments."""
    parser = subparsers.add_parser(
        "status",
        help="show how the connectors of a running process stand",
        description="Ask a running process how its connectors stand. Exit code 1 unless all of them run. The "
        "process listens when settings.health or settings.metrics is enabled.",
        epilog="Example: rivven-kafka status --url http://127.0.0.1:8080",
    )
    parser.add_argument(
        "--url", help="address of the process (that of settings.health or settings.metrics in the file)"
    )
    parser.add_argument("--format", choices=("table", "json"), default="table", help="form of the results")
    return parser


def run(args: argparse.Namespace) -> int:
    """Ask, and print what the process answers.

    Raises:
        ConfigError: The URL is wrong, or there is none because the file enables no server.
        ConnectError: Nobody answers there.
        ProtocolError: Something else than a process of ours answers there.
    """
    url = _status_url(args.url) if args.url else _configured_url(args.config)
    report = _ask(url)
    if args.format == "json":
        print_json(report)
    else:
        _print_table(report)
    return exit_codes.OK if report["status"] == "healthy" else exit_codes.FAILURE


def _configured_url(file: str) -> str:
    settings = load_connect_file(file).settings
    for section in (settings.health, settings.metrics):
        if section.enabled:
            host = _ALL_ADDRESSES.get(section.host, section.host)
            return f"http://{f'[{host}]' if ':' in host else host}:{section.port}/status"
    raise ConfigError(
        f"{file}: settings.health.enabled and settings.metrics.enabled: got false: expected true for one of "
        "them, or the option --url"
    )


def _status_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        # Names that cannot be encoded for a name server, such as "a..b".
        (parts.hostname or "").encode("idna")
    except ValueError:
        good = False
    if "@" in text:
        raise ConfigError("--url: got a user or a password: expected http://host:port")
    if not good:
        raise ConfigError(f"--url: got {text!r}: expected http://host:port")
    path = parts.path if parts.path.strip("/") else "/status"
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def _ask(url: str) -> dict[str, Any]:
    from http.client import HTTPException
    from urllib.request import ProxyHandler, build_opener

    # Not through a proxy: the process is on this machine or near it.
    opener = build_opener(ProxyHandler({}))
    try:
        with opener.open(url, timeout=_TIMEOUT_S) as answer:
            body = answer.read(_MAX_BYTES)
    except (OSError, HTTPException, UnicodeError) as error:
        raise ConnectError(f"no status from {url}: {getattr(error, 'reason', None) or error}") from error
    try:
        report = json.loads(body)
        _ = [_row(kind, entry) for kind in ("source", "sink") for entry in report[f"{kind}s"]]
        return {"status": report["status"], **report}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ProtocolError(f"{url} is not a status page of rivven-kafka run") from error


def _row(kind: str, entry: dict[str, Any]) -> tuple[str, ...]:
    names = ("status", "since", "events_processed", "errors_count", "restarts")
    last_error = " ".join((entry["last_error"] or "").split())
    return (str(entry["name"]), kind, *(str(entry[name]) for name in names), last_error)


def _print_table(report: dict[str, Any]) -> None:
    rows = [_row(kind, entry) for kind in ("source", "sink") for entry in report[f"{kind}s"]]
    widths = [max(map(len, column)) for column in zip(_COLUMNS, *rows, strict=True)]
    for row in (_COLUMNS, *rows):
        cells = [
            cell.rjust(width) if name in _NUMBERS else cell.ljust(width)
            for name, cell, width in zip(_COLUMNS, row, widths, strict=True)
        ]
        print_line("  ".join(cells).rstrip())

"""`rivven-kafka dlq`: lists the dead letters of a connector, or sends their records again."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from rivven_kafka.cli import exit_codes
from rivven_kafka.cli.file import load_to_connect
from rivven_kafka.cli.output import print_json, print_table
from rivven_kafka.errors import ConfigError

if TYPE_CHECKING:
    from rivven_kafka.config import ConnectConfig, SinkEntry, SourceEntry
    from rivven_kafka.pipeline.dead_letter_replay import Outcome, Selection, Summary

_log = logging.getLogger(__name__)

_UNKNOWN = "-"
_HEAD = ("LETTER", "WRITTEN", "POSITION", "RETRIES", "BYTES", "STATUS", "WHY")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Describe the command's arguments."""
    parser = subparsers.add_parser(
        "dlq",
        help="list dead letters, or send their records again",
        description="List the dead letters of a connector that were not sent again, or send their records to "
        "where the connector sends all others. What was sent is remembered in Rivven; a record that fails "
        "again gets a new letter. Exit code 3 when some failed again.",
        epilog="Example: rivven-kafka -c connect.yaml dlq replay --sink orders --dry-run",
    )
    parser.add_argument("action", choices=("list", "replay"), help="what to do")
    connector = parser.add_mutually_exclusive_group(required=True)
    connector.add_argument("--source", metavar="NAME", help="name of the source that wrote the letters")
    connector.add_argument("--sink", metavar="NAME", help="name of the sink that wrote the letters")
    parser.add_argument("--dry-run", action="store_true", help="only show what would be sent")
    parser.add_argument(
        "--since", type=_time, metavar="TIME", help="only letters written then or later (RFC 3339)"
    )
    parser.add_argument("--limit", type=_count, metavar="N", help="at most so many letters")
    parser.add_argument(
        "--from-start", action="store_true", help="also letters whose records were sent again before"
    )
    parser.add_argument("--format", choices=("table", "json"), default="table", help="form of the results")
    return parser


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise argparse.ArgumentTypeError(
            f"got {text!r}: expected a time with its offset from UTC, as 2026-01-31T12:00:00Z"
        )
    return time


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}: expected a number from 1")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """List the letters, or send their records again, and print one line for each.

    Raises:
        ConfigError: The file is wrong, or has no such connector, or it has no dead letter topic.
        RivvenKafkaError: A broker cannot be reached, or refuses; what was sent until then is remembered.
    """
    config = load_to_connect(args.config)
    name = args.source if args.source is not None else args.sink
    entry = _entry(args, config, name)
    # Imported here for the sake of commands that only read the file, see `run`.
    from rivven_kafka.pipeline.dead_letter_replay import Selection

    send = args.action == "replay" and not args.dry_run
    if send and not args.verbose:
        # The results say what Kafka refuses.
        logging.getLogger("kafka").setLevel(logging.ERROR)
    summary = _replay(config, name, entry, Selection(args.since, args.limit, args.from_start), send=send)
    if args.format == "json":
        print_json(_as_dict(name, entry, summary))
    else:
        print_table([_HEAD, *_rows(summary)], right=(3, 4))
    _report(summary)
    from rivven_kafka.pipeline.dead_letter_replay import Status

    return exit_codes.SOME_FAILED if summary.count(Status.FAILED) else exit_codes.OK


def _entry(args: argparse.Namespace, config: ConnectConfig, name: str) -> SourceEntry | SinkEntry:
    kind, other = ("source", "sink") if args.source is not None else ("sink", "source")
    entries: dict[str, Mapping[str, SourceEntry | SinkEntry]] = {
        "source": config.sources,
        "sink": config.sinks,
    }
    entry = entries[kind].get(name)
    if entry is None:
        names = ", ".join(entries[kind]) or "none"
        raise ConfigError(f"{args.config}: --{kind}: got {name!r}: expected one of: {names}")
    if entry.dead_letter_topic is None:
        raise ConfigError(f"{args.config}: {kind}s.{name}.dead_letter_topic: missing: its letters lie there")
    twin = entries[other].get(name)
    if twin is not None and twin.dead_letter_topic == entry.dead_letter_topic:
        raise ConfigError(
            f"{args.config}: {kind}s.{name}.dead_letter_topic: got {entry.dead_letter_topic!r}, "
            f"which {other} {name!r} has too: expected another one, as letters only name their connector"
        )
    return entry


def _replay(
    config: ConnectConfig, name: str, entry: SourceEntry | SinkEntry, selection: Selection, *, send: bool
) -> Summary:
    from rivven_kafka._native import RivvenClient
    from rivven_kafka.config import SinkEntry, SourceEntry
    from rivven_kafka.pipeline.dead_letter_replay import DeadLetterReplay
    from rivven_kafka.pipeline.loop_protection import sink_protection, source_protection
    from rivven_kafka.pipeline.publisher_options import require_shared
    from rivven_kafka.pipeline.resend import Resend, SinkResend, SourceResend
    from rivven_kafka.rivven.options import client_arguments

    assert entry.dead_letter_topic is not None
    arguments = client_arguments(config.broker, config.settings.retry, entry.config.client_id or name)
    client = RivvenClient(**arguments)
    resend: Resend | None = None
    try:
        replay = DeadLetterReplay(client, entry.dead_letter_topic, name)
        replay.partitions()
        if send and isinstance(entry, SourceEntry):
            require_shared(name, entry, "dlq replay")
            timeout_s = config.broker.request_timeout_ms / 1000
            resend = SourceResend(
                entry, arguments, client, timeout_s, source_protection(name, entry, config.broker)
            )
        elif send and isinstance(entry, SinkEntry):
            resend = SinkResend(name, entry, sink_protection(name, entry, config.broker))
        return replay.run(selection, resend)
    finally:
        if resend is not None:
            resend.close()
        client.close()


def _rows(summary: Summary) -> list[tuple[str, ...]]:
    return [
        (
            f"{outcome.place[1]}:{outcome.place[2]}",
            _UNKNOWN if outcome.written is None else outcome.written.isoformat(timespec="seconds"),
            _position(outcome) or _UNKNOWN,
            str(outcome.retry_count),
            str(outcome.size),
            outcome.status,
            "; ".join([outcome.reason, *outcome.notes]),
        )
        for outcome in summary.outcomes
    ]


def _position(outcome: Outcome) -> str | None:
    return None if outcome.position is None else ":".join(map(str, outcome.position))


def _as_dict(name: str, entry: SourceEntry | SinkEntry, summary: Summary) -> dict[str, object]:
    from rivven_kafka.pipeline.dead_letter_replay import Status

    return {
        "connector": name,
        "dead_letter_topic": entry.dead_letter_topic,
        **{str(status): summary.count(status) for status in Status},
        "too_old": summary.too_old,
        "not_noted": summary.not_noted,
        "of_others": summary.others,
        "unreadable": summary.unreadable,
        "letters": [
            {
                "partition": outcome.place[1],
                "offset": outcome.place[2],
                "written": None if outcome.written is None else outcome.written.isoformat(),
                "position": _position(outcome),
                "retry_count": outcome.retry_count,
                "bytes": outcome.size,
                "status": str(outcome.status),
                "reason": outcome.reason,
                "notes": list(outcome.notes),
            }
            for outcome in summary.outcomes
        ],
    }


def _report(summary: Summary) -> None:
    if summary.too_old:
        _log.warning("%d letters are older than --since and were passed over", summary.too_old)
    if summary.not_noted:
        _log.warning(
            "%d letters lie behind those and are not noted as sent: the next run sends them again",
            summary.not_noted,
        )
    if summary.unreadable:
        _log.warning("%d records of the topic are no dead letters", summary.unreadable)

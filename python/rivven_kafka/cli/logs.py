"""Log lines on standard error, as text or as JSON. Only the command installs them; the library never does."""

from __future__ import annotations

import json
import logging
import math
import sys
from datetime import UTC, datetime
from typing import TextIO

from rivven_kafka.log_filter import KafkaSecretsFilter

FIELDS = ("connector", "topic", "partition", "offset", "error")
"""Extra fields that log calls may pass in `extra=`, and that every format shows."""

_COLORS = {
    logging.DEBUG: "\x1b[2m",
    logging.WARNING: "\x1b[33m",
    logging.ERROR: "\x1b[31m",
    logging.CRITICAL: "\x1b[31m",
}
_RESET = "\x1b[0m"
_MISSING_EVERY_S = 60.0


def _time(record: logging.LogRecord) -> str:
    return (
        datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


def _fields(record: logging.LogRecord) -> dict[str, object]:
    given = {name: record.__dict__[name] for name in FIELDS if record.__dict__.get(name) is not None}
    return {name: value if isinstance(value, str | int) else str(value) for name, value in given.items()}


class TextFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.000Z INFO message connector=orders partition=3`.

    Args:
        color: Whether to color the level with terminal codes.
    """

    def __init__(self, *, color: bool) -> None:
        super().__init__()
        self._color = color

    def format(self, record: logging.LogRecord) -> str:
        """Write a record as one line, and the traceback, if any, below it."""
        level = record.levelname
        if self._color and record.levelno in _COLORS:
            level = f"{_COLORS[record.levelno]}{level}{_RESET}"
        parts = [_time(record), level, record.getMessage()]
        for name, value in _fields(record).items():
            text = str(value)
            parts.append(
                f"{name}={text if text and text.isprintable() and ' ' not in text else json.dumps(text)}"
            )
        line = " ".join(parts)
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One JSON object per line: `time`, `level`, `logger`, `msg`, the extra fields, and `traceback`."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record as one line."""
        line: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class _Noise(logging.Filter):
    """Leaves out what kafka-python says of itself when nothing is wrong with the user's system.

    It calls a refresh of metadata an error that its own close has cancelled, and warns when its thread got
    too little processor time. That a topic is not there it says ten times a second, as often as it asks; that
    is shown once in a while. With debug messages all of it is shown.
    """

    def __init__(self) -> None:
        super().__init__()
        self._missing: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to show a record."""
        if not record.name.startswith("kafka.") or logging.getLogger("kafka").level <= logging.DEBUG:
            return True
        message = record.getMessage()
        if message.endswith(" not found in cluster metadata"):
            if record.created - self._missing.get(message, -math.inf) < _MISSING_EVERY_S:
                return False
            self._missing[message] = record.created
        return not (
            "blocking the event loop" in message or message.startswith("Metadata refresh: failed Cancelled")
        )


def install(log_format: str, *, verbose: bool, color: bool, stream: TextIO | None = None) -> None:
    """Send the log records of all libraries to one place, replacing what was installed before.

    Args:
        log_format: "text" or "json".
        verbose: Show debug messages too.
        color: Allow colors; they are used only in text on a terminal.
        stream: Where to write; standard error if None.
    """
    target = sys.stderr if stream is None else stream
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        JsonFormatter() if log_format == "json" else TextFormatter(color=color and target.isatty())
    )
    handler.addFilter(KafkaSecretsFilter())
    handler.addFilter(_Noise())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    set_level("info", verbose=verbose)


def set_level(level: str, *, verbose: bool) -> None:
    """Show messages of `level` (debug, info, warn, warning, error) and above, all of them if `verbose`.

    Of kafka-python and botocore only warnings are shown, unless debug messages are.
    """
    number = logging.DEBUG if verbose else logging.getLevelNamesMapping()[level.upper()]
    logging.getLogger().setLevel(number)
    # Their INFO tells of every connection and login; what matters of that is in our own messages.
    clients = number if number == logging.DEBUG else max(number, logging.WARNING)
    for name in ("kafka", "botocore"):
        logging.getLogger(name).setLevel(clients)

"""Where progress is shown: redrawn in place on a terminal, as JSON lines elsewhere."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from rivven_kafka.migrate.report import now

_FIRST_COLUMN = "\r\x1b[K"
_LINE_UP = "\x1b[A\x1b[2K"


class Display:
    """Shows progress on standard error. May be used by several threads at once.

    Args:
        stream: Where to; standard error if None.
        terminal: Whether it is a terminal; asked of the stream if None.
    """

    def __init__(self, stream: TextIO | None = None, *, terminal: bool | None = None) -> None:
        self._stream = stream or sys.stderr
        self.terminal = self._stream.isatty() if terminal is None else terminal
        self._lock = threading.RLock()
        self._drawn = 0

    @property
    def height(self) -> int:
        """Most lines that fit."""
        return max(self._size().lines - 2, 3)

    def draw(self, lines: Sequence[str]) -> None:
        """Shows these lines in the place of those before; only on a terminal."""
        if not self.terminal:
            return
        # A line that is wrapped could not be taken back.
        width = max(self._size().columns - 1, 20)
        with self._lock:
            text = self._erasing() + "".join(f"{line[:width]}\n" for line in lines)
            self._drawn = len(lines)
            self._write(text)

    def event(self, kind: str, **values: Any) -> None:
        """Writes one JSON line; not on a terminal."""
        if self.terminal:
            return
        with self._lock:
            line = json.dumps({"time": now(), "event": kind, **values}, ensure_ascii=False)
            self._write(f"{line}\n")

    def clear(self) -> None:
        """Takes the lines away."""
        with self._lock:
            if self._drawn:
                self._write(self._erasing())

    @contextmanager
    def beside_log(self) -> Iterator[None]:
        """Lets log lines on the same stream come above the progress instead of into it."""
        handlers = [
            each
            for each in logging.getLogger().handlers
            if isinstance(each, logging.StreamHandler) and each.stream is self._stream
        ]
        for handler in handlers:
            handler.setStream(_Above(self))
        try:
            yield
        finally:
            self.clear()
            for handler in handlers:
                handler.setStream(self._stream)

    def above(self, text: str) -> None:
        """Writes text where the lines were; they come back when they are drawn again."""
        with self._lock:
            self._write(self._erasing() + text)

    def flush(self) -> None:
        """Flushes the stream."""
        self._stream.flush()

    def _erasing(self) -> str:
        drawn, self._drawn = self._drawn, 0
        return _FIRST_COLUMN + _LINE_UP * drawn if drawn else ""

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()

    def _size(self) -> os.terminal_size:
        try:
            columns, lines = os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError):
            columns = lines = 0
        # Some terminals say that they have no size.
        return os.terminal_size((columns or 100, lines or 24))


class _Above:
    """The stream of a log handler."""

    def __init__(self, display: Display) -> None:
        self._display = display

    def write(self, text: str) -> int:
        self._display.above(text)
        return len(text)

    def flush(self) -> None:
        self._display.flush()

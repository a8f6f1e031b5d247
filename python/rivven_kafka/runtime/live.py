"""Server-sent events: how the process stands, about once a second, for the pages that are open."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator

from rivven_kafka.runtime.reports import Report

EVERY_S = 1.0
MAX_LISTENERS = 16
"""One more is refused. Each has a thread; whoever is refused can ask for the status instead."""

_FIRST = b"retry: 1000\n\n"
"""How long a browser waits before it connects again (ms)."""


class Live:
    """Hands the same report to all who listen. A report is made while somebody listens, once for all of them.

    May be used by several threads at once.

    Args:
        report: Makes one.
    """

    def __init__(self, report: Callable[[], Report]) -> None:
        self._report = report
        self._changed = threading.Condition()
        self._number = 0
        self._message = b""
        self._due = 0.0
        self._listeners = 0
        self._closed = False

    @property
    def listeners(self) -> int:
        """How many listen."""
        return self._listeners

    def listen(self) -> Listener | None:
        """Another one who listens; None if there are too many, or no more is to come."""
        with self._changed:
            if self._closed or self._listeners >= MAX_LISTENERS:
                return None
            self._listeners += 1
        return Listener(self)

    def close(self) -> None:
        """Ends all streams now."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def leave(self) -> None:
        """One listens no longer."""
        with self._changed:
            self._listeners -= 1

    def after(self, number: int) -> tuple[int, bytes] | None:
        """Waits for a message later than `number`; None when no more is to come.

        Who is late gets the latest only, so that nothing piles up for slow ones.
        """
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                if now >= self._due:
                    self._make(now)
                if self._number > number:
                    return self._number, self._message
                self._changed.wait(self._due - now)
            return None

    def _make(self, now: float) -> None:
        # In one line: a line feed would end the field.
        text = json.dumps(self._report(), ensure_ascii=False, separators=(",", ":"))
        self._message = f"data: {text}\n\n".encode()
        self._number += 1
        self._due = now + EVERY_S
        self._changed.notify_all()


class Listener:
    """The messages for one who listens; none is older than a second when it is handed out."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._number = -1
        self._left = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._number < 0:
            self._number = 0
            return _FIRST
        message = self._live.after(self._number)
        if message is None:
            raise StopIteration
        self._number, text = message
        return text

    def close(self) -> None:
        """Makes room for another one. WSGI calls it, however the connection ended."""
        if not self._left:
            self._left = True
            self._live.leave()

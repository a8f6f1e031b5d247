"""A line on stderr for whatever makes a person wait."""

import sys
import threading
import time
from types import TracebackType
from typing import Self, TextIO


class Progress:
    """Says what is being waited for once it has lasted ``after`` seconds; on a terminal the time ticks."""

    def __init__(self, what: str, *, after: float = 2.0, out: TextIO | None = None) -> None:
        self._what = what
        self._after = after
        self._out = sys.stderr if out is None else out
        self._done = threading.Event()
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._show, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        elapsed = time.monotonic() - self._began
        if elapsed >= self._after:
            self._write(
                f"{self._what}: {'done' if kind is None else 'failed'} after {elapsed:.0f} s", end="\n"
            )

    def _show(self) -> None:
        if self._done.wait(self._after):
            return
        if not self._out.isatty():
            self._write(f"{self._what} ...", end="\n")
            return
        while True:
            self._write(f"{self._what} ... {time.monotonic() - self._began:.0f} s", end="")
            if self._done.wait(1.0):
                return

    def _write(self, line: str, *, end: str) -> None:
        start = "\r\x1b[K" if self._out.isatty() else ""
        self._out.write(f"{start}{line}{end}")
        self._out.flush()

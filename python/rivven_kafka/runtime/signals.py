"""SIGTERM and SIGINT: the first one drains, the second one aborts."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType

EXIT_ABORTED = 130


@contextmanager
def stop_on_signals(stop: threading.Event) -> Iterator[None]:
    """Sets `stop` soon after the first SIGTERM or SIGINT; the second one ends the process with code 130.

    An abort loses nothing: what was not committed is read again by the next run.
    """
    # A handler interrupts the main thread anywhere, also inside of `stop.wait`, whose lock `stop.set` would
    # wait for forever. These two can be used there: a call of either is not interrupted.
    earlier = itertools.count()
    orders: SimpleQueue[bool] = SimpleQueue()

    def handle(number: int, frame: FrameType | None) -> None:
        if next(earlier):
            os._exit(EXIT_ABORTED)
        orders.put(True)

    def obey() -> None:
        if orders.get():
            stop.set()

    thread = threading.Thread(target=obey, name="signals", daemon=True)
    thread.start()
    previous = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        orders.put(False)
        thread.join()

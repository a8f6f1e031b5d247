"""SIGTERM and SIGINT: the first one drains, the second one aborts. SIGHUP: another configuration."""

from __future__ import annotations

import itertools
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType

log = logging.getLogger(__name__)

EXIT_ABORTED = 130


@contextmanager
def stop_on_signals(stop: threading.Event, reload: Callable[[], None] | None = None) -> Iterator[None]:
    """Sets `stop` soon after the first SIGTERM or SIGINT; the second one ends the process with code 130.

    An abort loses nothing: what was not committed is read again by the next run.

    Args:
        stop: What to set.
        reload: Called for each SIGHUP, one call after the other, in a thread of their own; it must not raise.
            None leaves SIGHUP as it is.
    """
    # A handler interrupts the main thread anywhere, also inside of `stop.wait`, whose lock `stop.set` would
    # wait for forever. These can be used there: a call of any of them is not interrupted.
    earlier = itertools.count()
    orders: SimpleQueue[bool] = SimpleQueue()
    reloads: SimpleQueue[bool] = SimpleQueue()

    def handle(number: int, frame: FrameType | None) -> None:
        if next(earlier):
            os._exit(EXIT_ABORTED)
        orders.put(True)

    def obey() -> None:
        if orders.get():
            stop.set()
            # What waits for a broker may take its time: whoever sees nothing gives the second signal.
            log.info("told to stop: ends what is under way; another signal aborts")

    def hang_up(number: int, frame: FrameType | None) -> None:
        reloads.put(True)

    def reload_again() -> None:
        while reloads.get() and reload is not None:
            reload()

    thread = threading.Thread(target=obey, name="signals", daemon=True)
    thread.start()
    # Its file may lie where nobody answers: neither a stop nor the end waits for it.
    threading.Thread(target=reload_again, name="reload", daemon=True).start()
    handlers = {signal.SIGTERM: handle, signal.SIGINT: handle}
    if reload is not None:
        handlers[signal.SIGHUP] = hang_up
    previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        orders.put(False)
        reloads.put(False)
        thread.join()

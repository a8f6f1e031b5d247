"""The event that ends one run of a connector: the stop of the process, or a restart of this one alone."""

from __future__ import annotations

import threading
import time

_LOOK_EVERY_S = 0.1


class Turn(threading.Event):
    """Set when it was set itself, or the event around it is.

    Args:
        stop: The event around it.
    """

    def __init__(self, stop: threading.Event) -> None:
        super().__init__()
        self._stop = stop

    def is_set(self) -> bool:
        """Whether the run has to end."""
        return super().is_set() or self._stop.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until it is set; returns whether it is, at the latest after `timeout` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._stop.is_set():
            left = _LOOK_EVERY_S if deadline is None else min(_LOOK_EVERY_S, deadline - time.monotonic())
            if left <= 0 or super().wait(left):
                break
        return self.is_set()

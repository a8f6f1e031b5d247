"""Work that is done by several threads at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

Job = Callable[[threading.Event], None]
"""Does a part of the work; raises `Stopped` soon after the event is set."""

_LOOK_S = 0.2
_SHOW_S = 0.2


class Stopped(Exception):
    """The work was given up."""


def run_jobs(jobs: Iterable[Job], workers: int) -> None:
    """Runs all jobs, begun in this order, and waits for them.

    Raises:
        BaseException: What the first job that failed has raised; the others are stopped.
    """
    stop, lock = threading.Event(), threading.Lock()
    failed: list[BaseException] = []
    left = iter(jobs)

    def work() -> None:
        while not stop.is_set():
            with lock:
                job = next(left, None)
            if job is None:
                return
            try:
                job(stop)
            except Stopped:
                return
            except BaseException as error:
                failed.append(error)
                stop.set()

    # Daemons, so that who gives up need not wait for an answer that does not come.
    threads = [threading.Thread(target=work, name=f"verify-{n}", daemon=True) for n in range(workers)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            # With a limit, so that an interrupt is noticed.
            while thread.is_alive():
                thread.join(_LOOK_S)
    finally:
        stop.set()
    if failed:
        raise failed[0]


def go_on(*stops: threading.Event) -> None:
    """Raises `Stopped` if one of the events is set."""
    if any(stop.is_set() for stop in stops):
        raise Stopped


class Meter:
    """Counts what was read, and tells it now and then.

    Args:
        total: Records to be read from Kafka, about.
        progress: Told how far the work has come.
    """

    def __init__(self, total: int, progress: Callable[[str], None]) -> None:
        self._total = total
        self._progress = progress
        self._lock = threading.Lock()
        self._kafka = self._rivven = 0
        self._shown_s = 0.0

    def add(self, *, kafka: int = 0, rivven: int = 0) -> None:
        """So many records more were compared; may be called by several threads."""
        with self._lock:
            self._kafka += kafka
            self._rivven += rivven
            text = (
                f"comparing: {self._kafka} of about {self._total} records of Kafka, {self._rivven} of Rivven"
            )
        self.tell(text)

    def tell(self, text: str) -> None:
        """Tells what is done, unless something was told just now; may be called by several threads."""
        with self._lock:
            now = time.monotonic()
            if now - self._shown_s < _SHOW_S:
                return
            self._shown_s = now
            self._progress(text)

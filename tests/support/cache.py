"""The cache of downloaded and compiled brokers.

An entry is a directory that either exists complete or does not exist: it is filled under another name and
renamed, and a lock makes the second of two racing processes wait for the first instead of repeating its work.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.progress import Progress


def cache_dir() -> Path:
    """``$RIVVEN_KAFKA_CACHE``, or ``~/.cache/rivven-kafka``."""
    configured = os.environ.get("RIVVEN_KAFKA_CACHE")
    return Path(configured).expanduser() if configured else Path.home() / ".cache" / "rivven-kafka"


def cached(name: str, why: str, fill: Callable[[Path], None]) -> Path:
    """Return the entry ``name``, calling ``fill(empty_directory)`` first if nobody has made it yet.

    ``why`` is what a person waiting for it reads, e.g. "compiling rivvend 0.0.22 (about 5 minutes)".
    """
    entry = cache_dir() / name
    if entry.is_dir():
        return entry
    entry.parent.mkdir(parents=True, exist_ok=True)
    with _locked(entry.parent / f".{name}.lock", f"waiting for another process: {why}"):
        if entry.is_dir():
            return entry
        partial = entry.parent / f".{name}.partial"
        # Left by a process that died while it held the lock we hold now.
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        try:
            with Progress(why):
                fill(partial)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        partial.rename(entry)
    return entry


@contextmanager
def _locked(path: Path, why: str) -> Iterator[None]:
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with Progress(why):
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield

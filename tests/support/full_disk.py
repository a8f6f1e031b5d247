"""A rivvend that cannot write any more.

A limit on the size of its files, which takes no rights, unlike a small file system: every write behind the first
byte fails with EFBIG, where a full disk says ENOSPC. rivvend 0.0.22 goes on when it can write again, but behind a
write that failed, and above all behind one that stopped half-way, it does not always find its records any more.
"""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

from tests.support.rivvend import RivvenBroker

# By default the signal ends the process; ignored, the write fails.
_SHELL = 'trap "" XFSZ; exec "$0" "$@"'


@contextlib.contextmanager
def full_disk(broker: RivvenBroker) -> Iterator[None]:
    """Lets no file of the broker grow inside the block."""
    pid = broker.pid
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, before[1]))
    try:
        yield
    finally:
        # It may have ended.
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


class FullDiskRivven(RivvenBroker):
    """A rivvend that outlives a write beyond the limit."""

    def _command(self) -> list[str | Path]:
        return ["sh", "-c", _SHELL, *super()._command()]

    def restart_without_indexes(self) -> None:
        """Starts it anew after a crash; it makes the indexes again from the records."""
        self.kill()
        for index in self.data_dir.rglob("*.index"):
            index.unlink()
        self.restart()
